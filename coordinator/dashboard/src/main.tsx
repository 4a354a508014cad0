import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { App } from "./app";
import { check } from "./session";

void check();
render(<App />, document.getElementById("app") as HTMLElement);
