// What fails, since when, and why?
import type { FunctionErrors } from "../api";
import { topic } from "../live";
import { Failures } from "../parts/failures";
import { Copy, Empty, Loading, curl } from "../parts/small";

export function Errors() {
  const all = topic<FunctionErrors[]>("errors").value;
  return (
    <>
      <div class="title"><h1>Errors</h1><Copy what={{ CLI: "udfleet errors", curl: curl("/topics/errors"), PromQL: "sum by (function) (rate(udfleet_function_errors_total[5m]))" }} /></div>
      {!all ? <Loading /> : all.length === 0 ? <Empty>Nothing has failed since this coordinator started.</Empty> : <Failures all={all} />}
    </>
  );
}
