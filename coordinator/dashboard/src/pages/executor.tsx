// What does it hold, is it overloaded, can I drain it?
import type { ExecutorDetail } from "../api";
import { bytes, count, rate } from "../format";
import { topic } from "../live";
import { Chart, Windows, useHistory } from "../parts/chart";
import { Card, Copy, Empty, Events, Figure, For, Loading, Since, curl, functionLink } from "../parts/small";
import { State } from "../parts/state";

export function Executor({ id }: { id: string }) {
  const data = topic<ExecutorDetail>(`executor:${id}`).value;
  const track = useHistory(`executor:${id}`);
  if (data === undefined) return <Loading />;
  if (data === null) return <p class="empty">No executor {id} is known here. It may have been away for long: <a href="/events">events</a> tell, or <a href="/executors">see all executors</a>.</p>;
  const row = data.executor;
  const labels = Object.entries(row.labels);
  const environments = Object.entries(data.environments);
  return (
    <>
      <div class="title">
        <h1>{row.id}</h1>
        <State of={row.state} />
        <Copy what={{ "Drain it": `udfleet drain ${row.id}`, curl: curl(`/topics/executor:${row.id}`), JSON: JSON.stringify(data) }} />
      </div>
      {row.state === "draining" && <p class="banner">It takes nothing new, and finishes {row.in_flight} batches in flight.</p>}
      {row.state === "lost" && <p class="banner">It has been silent <For unixMs={row.reported_unix_ms} />. Its work has moved; it attaches again by itself.</p>}
      <dl class="figures">
        <Figure label="Busy interpreters" value={count(row.rates.busy)} note={`of ${row.interpreters}, at most ${row.max_interpreters}`} />
        <Figure label="Memory" value={bytes(row.rss_bytes)} note={`of ${bytes(row.memory_bytes)}`} />
        <Figure label="Rows a second" value={rate(row.rates.rows)} note={`${rate(row.rates.calls)} batches`} />
        <Figure label="In flight" value={count(row.in_flight)} note="batches" />
        <Figure label="Cores" value={row.cores} />
        <Figure label="Last report" value={<Since unixMs={row.reported_unix_ms} />} />
      </dl>
      <div class="grid">
        <Card title="How it goes" wide more={<Windows />}>
          <div class="charts">
            <Chart title="Rows a second" track={track} format={rate} lines={[{ field: "rows", label: "rows", colour: "run" }]} />
            <Chart title="Busy interpreters" track={track} format={count} lines={[{ field: "run", label: "busy", colour: "convert" }, { field: "interpreters", label: "started", colour: "muted" }]} />
            <Chart title="Memory of interpreters" track={track} format={bytes} lines={[{ field: "memory", label: "memory", colour: "queue" }]} />
          </div>
        </Card>
        <Card title="What it is">
          <dl class="pairs">
            <div><dt>Address</dt><dd><code>{row.address}</code></dd></div>
            <div><dt>Version</dt><dd>{row.version}</dd></div>
            <div><dt>Pythons</dt><dd>{row.pythons.join(", ") || "none"}</dd></div>
            <div><dt>Labels</dt><dd>{labels.length === 0 ? "none" : labels.map(([key, value]) => <code key={key}>{key}={value}</code>)}</dd></div>
            <div><dt>Also attached to</dt><dd>{data.attached_to.length === 0 ? "no other coordinator" : data.attached_to.join(", ")}</dd></div>
          </dl>
        </Card>
        <Card title="Environments">
          {environments.length === 0 ? <Empty>It should hold none.</Empty> : (
            <ul class="plain">{environments.map(([hash, interpreters]) => <li key={hash}><a href={`/environments/${hash}`}><code>{hash}</code></a> {interpreters} interpreters</li>)}</ul>
          )}
        </Card>
        <Card title="Functions" wide>
          {data.functions.length === 0 ? <Empty>It has reported none.</Empty> : (
            <div class="scroll" role="region" aria-label="Functions" tabIndex={0}>
              <table>
                <thead><tr><th scope="col">Function</th><th scope="col">State</th><th scope="col" class="number">Interpreters</th><th scope="col">Why</th></tr></thead>
                <tbody>{data.functions.slice(0, 500).map((one) => (
                  <tr key={one.function}><td><a href={functionLink(one.function)}>{one.function}</a></td><td><State of={one.state.replace("LOAD_STATE_", "")} /></td><td class="number">{one.interpreters}</td><td>{one.error?.message ?? one.waiting}</td></tr>
                ))}</tbody>
              </table>
            </div>
          )}
        </Card>
        <Card title="What happened" wide><Events events={data.activity} /></Card>
      </div>
    </>
  );
}
