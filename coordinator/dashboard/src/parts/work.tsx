// How much is done, and how fast: the same three charts for the fleet and for a function.
import { duration, rate } from "../format";
import { Chart, type Track } from "./chart";

export function WorkCharts({ track }: { track: Track }) {
  return (
    <div class="charts">
      <Chart title="Rows a second" track={track} format={rate} lines={[{ field: "rows", label: "rows", colour: "run" }]} />
      <Chart title="Batches a second" track={track} format={rate} lines={[{ field: "calls", label: "answered", colour: "convert" }, { field: "errors", label: "failed", colour: "bad" }]} />
      <Chart title="Latency" track={track} format={duration} lines={[{ field: "p50", label: "p50", colour: "convert" }, { field: "p95", label: "p95", colour: "queue" }]} />
    </div>
  );
}
