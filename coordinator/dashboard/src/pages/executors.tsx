// Which executors are there, and are they overloaded?
import type { ExecutorRow } from "../api";
import { bytes, count, rate } from "../format";
import { topic } from "../live";
import { Copy, Empty, Loading, Since, Spark, curl } from "../parts/small";
import { State } from "../parts/state";
import { Table, type Column } from "../parts/table";

const COLUMNS: Column<ExecutorRow>[] = [
  { name: "Executor", by: (row) => row.id, show: (row) => <a href={`/executors/${encodeURIComponent(row.id)}`}>{row.id}</a> },
  { name: "State", by: (row) => row.state, show: (row) => <State of={row.state} /> },
  { name: "Busy", number: true, by: (row) => row.rates.busy, show: (row) => count(row.rates.busy) },
  { name: "Interpreters", number: true, by: (row) => row.interpreters, show: (row) => `${row.interpreters}/${row.max_interpreters}` },
  { name: "Memory", number: true, by: (row) => row.rss_bytes, show: (row) => <>{bytes(row.rss_bytes)}<small> of {bytes(row.memory_bytes)}</small></> },
  { name: "Rows/s", number: true, by: (row) => row.rates.rows, show: (row) => rate(row.rates.rows) },
  { name: "Last 5 min", minor: true, show: (row) => <Spark values={row.rates.spark} /> },
  { name: "In flight", number: true, minor: true, by: (row) => row.in_flight, show: (row) => count(row.in_flight) },
  { name: "Functions", number: true, minor: true, by: (row) => row.functions.READY ?? 0, show: (row) => <>{row.functions.READY ?? 0} ready{(row.functions.FAILED ?? 0) > 0 && <b class="bad"> {row.functions.FAILED} failed</b>}</> },
  { name: "Pythons", minor: true, by: (row) => row.pythons.join(), show: (row) => <small>{row.pythons.map((one) => one.split(".").slice(0, 2).join(".")).join(", ")}</small> },
  { name: "Reported", number: true, minor: true, by: (row) => -row.reported_unix_ms, show: (row) => <Since unixMs={row.reported_unix_ms} /> },
];

export function Executors() {
  const rows = topic<ExecutorRow[]>("executors").value;
  return (
    <>
      <div class="title"><h1>Executors</h1><Copy what={{ CLI: "udfleet status", curl: curl("/topics/executors"), PromQL: "udfleet_executors", JSON: JSON.stringify(rows) }} /></div>
      {!rows ? <Loading /> : (
        <Table label="executors" rows={rows} columns={COLUMNS} id={(row) => row.id} text={(row) => `${row.id} ${row.state} ${row.address} ${row.pythons.join(" ")}`} sort="Executor"
          empty={<Empty>No executor has attached. Start one: <code>udfleet-executor --coordinator HOST:PORT</code></Empty>} />
      )}
    </>
  );
}
