// How much is done, and how fast: the same three charts for the fleet and for a function.
import { duration, rate } from "../format";
import { Chart, type useHistory } from "./chart";

export function WorkCharts({ history }: { history: ReturnType<typeof useHistory> }) {
  return (
    <div class="charts">
      <Chart title="Rows a second" history={history} format={rate} lines={[{ field: "rows", label: "rows", colour: "run" }]} />
      <Chart title="Batches a second" history={history} format={rate} lines={[{ field: "calls", label: "answered", colour: "convert" }, { field: "errors", label: "failed", colour: "bad" }]} />
      <Chart title="Latency" history={history} format={duration} lines={[{ field: "p50", label: "p50", colour: "convert" }, { field: "p95", label: "p95", colour: "queue" }]} />
    </div>
  );
}
