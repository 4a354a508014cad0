// Which environments are there, and why is one not built?
import type { EnvironmentRow } from "../api";
import { topic } from "../live";
import { Lines } from "../parts/lines";
import { Card, Copy, Empty, Loading, curl, functionLink } from "../parts/small";
import { State } from "../parts/state";
import { Table, type Column } from "../parts/table";

const COLUMNS: Column<EnvironmentRow>[] = [
  { name: "Environment", by: (row) => row.hash, show: (row) => <a href={`/environments/${row.hash}`}><code>{row.hash}</code></a> },
  { name: "State", by: (row) => row.state, show: (row) => <span title={row.reason}><State of={row.state} /></span> },
  { name: "Python", by: (row) => row.python, show: (row) => row.python || "any" },
  { name: "Packages", by: (row) => row.requirements.length, show: (row) => (row.requirements.length === 0 ? <span class="muted">none</span> : <small>{row.requirements.slice(0, 3).join(", ")}{row.requirements.length > 3 && ` and ${row.requirements.length - 3} more`}</small>) },
  { name: "Functions", number: true, by: (row) => row.functions.length, show: (row) => row.functions.length },
  { name: "Built on", number: true, by: (row) => row.built_on.length, show: (row) => row.built_on.length },
  { name: "Interpreters", number: true, minor: true, by: wanted, show: wanted },
];

function wanted(row: EnvironmentRow): number {
  return Object.values(row.assigned).reduce((sum, one) => sum + one, 0);
}

export function Environments({ hash }: { hash: string }) {
  const rows = topic<EnvironmentRow[]>("environments").value;
  const one = rows?.find((row) => row.hash === hash);
  return (
    <>
      <div class="title"><h1>{hash ? <>Environment <code>{hash}</code></> : "Environments"}</h1><Copy what={{ CLI: hash ? `udfleet env show ${hash}` : "udfleet env ls", curl: curl("/topics/environments"), JSON: JSON.stringify(one ?? rows) }} /></div>
      {!rows ? <Loading /> : hash ? (one ? <Environment row={one} /> : <p class="empty">No function uses an environment {hash}. <a href="/environments">See all environments</a>.</p>) : (
        <Table label="environments" rows={rows} columns={COLUMNS} id={(row) => row.hash} text={(row) => `${row.hash} ${row.python} ${row.requirements.join(" ")} ${row.functions.join(" ")}`} sort="-Functions"
          empty={<Empty>No function is registered, so no environment is needed.</Empty>} />
      )}
    </>
  );
}

function Environment({ row }: { row: EnvironmentRow }) {
  const assigned = Object.entries(row.assigned);
  return (
    <>
      <p><State of={row.state} /></p>
      {row.reason && <pre class="banner" tabIndex={0}>{row.reason}</pre>}
      <div class="grid">
        <Card title="Made of">
          <dl class="pairs">
            <div><dt>Python</dt><dd>{row.python || "any"}</dd></div>
            <div><dt>Packages</dt><dd>{row.requirements.length === 0 ? "none" : row.requirements.map((line) => <code key={line}>{line}</code>)}</dd></div>
            <div><dt>Hash</dt><dd><code class="long">{row.hash}</code></dd></div>
          </dl>
        </Card>
        <Card title="Where">
          {assigned.length === 0 ? <Empty>No executor should hold it.</Empty> : (
            <ul class="plain">{assigned.map(([id, interpreters]) => <li key={id}><a href={`/executors/${encodeURIComponent(id)}`}>{id}</a> {interpreters} interpreters <small>{row.built_on.includes(id) ? "built" : "not built yet"}</small></li>)}</ul>
          )}
        </Card>
        <Lines title="What building it printed" path={`/builds/${row.hash}`} empty={row.built_on.length > 0 ? "It was built before this coordinator started, or without a word." : "No executor has begun to build it."} />
        <Card title="Functions that use it" wide><ul class="plain">{row.functions.map((name) => <li key={name}><a href={functionLink(name)}>{name}</a></li>)}</ul></Card>
      </div>
    </>
  );
}
