// Which functions are there, are they ready, and what do they do?
import type { FunctionRow } from "../api";
import { count, duration, rate } from "../format";
import { topic } from "../live";
import { Copy, Empty, Loading, Spark, Split, curl, functionLink } from "../parts/small";
import { State } from "../parts/state";
import { Table, type Column } from "../parts/table";

const COLUMNS: Column<FunctionRow>[] = [
  { name: "Function", by: (row) => row.name, show: (row) => <a href={functionLink(row.name)}>{row.name}<small>@{row.version}</small></a> },
  { name: "State", by: (row) => row.state, show: (row) => <span title={row.reason}><State of={row.state} /></span> },
  { name: "Ready on", number: true, minor: true, by: (row) => row.ready_on, show: (row) => `${row.ready_on}/${row.placed_on}` },
  { name: "Rows/s", number: true, by: (row) => row.rates.rows, show: (row) => rate(row.rates.rows) },
  { name: "Last 5 min", minor: true, show: (row) => <Spark values={row.rates.spark} /> },
  { name: "p95", number: true, by: (row) => row.latency.p95 ?? -1, show: (row) => duration(row.latency.p95) },
  { name: "In flight", number: true, minor: true, by: (row) => row.totals.in_flight, show: (row) => count(row.totals.in_flight) },
  { name: "Time", minor: true, show: (row) => <Split split={row.split} /> },
  { name: "Rows", number: true, by: (row) => row.totals.rows, show: (row) => count(row.totals.rows) },
  { name: "Failed", number: true, by: (row) => row.totals.errors, show: (row) => (row.totals.errors > 0 ? <b class="bad">{count(row.totals.errors)}</b> : "0") },
  { name: "Kind", minor: true, by: (row) => `${row.kind} ${row.func_type}`, show: (row) => <small>{row.kind}, {row.func_type}</small> },
];

export function Functions() {
  const rows = topic<FunctionRow[]>("functions").value;
  return (
    <>
      <div class="title"><h1>Functions</h1><Copy what={{ CLI: "udfleet functions", curl: curl("/topics/functions"), JSON: JSON.stringify(rows) }} /></div>
      {!rows ? <Loading /> : (
        <Table label="functions" rows={rows} columns={COLUMNS} id={(row) => row.function} text={(row) => `${row.name} ${row.state} ${row.kind} ${row.func_type}`} sort="Function"
          empty={<Empty>No function is registered yet. In Python: <code>fleet.register_function("add", add)</code></Empty>} />
      )}
    </>
  );
}
