// Is it fast, right, ready? Why slow? What did the last version change?
import type { FunctionDetail, FunctionRow, FunctionView, Profile } from "../api";
import { useAsked } from "../asked";
import { bytes, count, duration, percent, rate } from "../format";
import { topic } from "../live";
import { Windows, useHistory } from "../parts/chart";
import { Failures } from "../parts/failures";
import { Flame } from "../parts/flame";
import { Lines } from "../parts/lines";
import { Card, Copy, Empty, Events, Figure, Loading, Since, Split, curl, functionLink } from "../parts/small";
import { State } from "../parts/state";
import { WorkCharts } from "../parts/work";
import { query, setQuery } from "../router";

const TABS = ["Now", "Versions", "Executors", "Errors", "Logs", "Profile", "Source"] as const;

export function FunctionPage({ name }: { name: string }) {
  const data = topic<FunctionDetail>(`function:${name}`).value;
  if (data === undefined) return <Loading />;
  if (data === null) return <p class="empty">No function {name} is registered. It may have been dropped: <a href="/events">events</a> tell, or <a href="/functions">see all functions</a>.</p>;
  const wanted = name.includes("@") ? data.versions.find((row) => row.function === name) : data.versions[0];
  if (!wanted) return <p class="empty">{data.name} has no version {name}. <a href={functionLink(data.name)}>See the newest</a>.</p>;
  const tab = query.value.get("tab") ?? "Now";
  const own = wanted.function;
  return (
    <>
      <div class="title">
        <h1>{data.name}<small>@{wanted.version}</small></h1>
        <State of={wanted.state} />
        <Copy what={{
          CLI: `udfleet progress ${own}`,
          curl: curl(`/topics/function:${own}`),
          PromQL: `rate(udfleet_function_rows_total{function="${own}"}[1m])`,
          JSON: JSON.stringify(data),
        }} />
      </div>
      {wanted.reason && <p class="banner">{wanted.reason}</p>}
      <dl class="figures">
        <Figure label="Rows a second" value={rate(wanted.rates.rows)} note={`${rate(wanted.rates.calls)} batches`} />
        <Figure label="Latency p95" value={duration(wanted.latency.p95)} note={`p50 ${duration(wanted.latency.p50)}, p99 ${duration(wanted.latency.p99)}`} />
        <Figure label="In flight" value={count(wanted.totals.in_flight)} note="batches" />
        <Figure label="Rows in a batch" value={wanted.totals.calls > 0 ? count(wanted.totals.rows / wanted.totals.calls) : "–"} note="on average" />
        <Figure label="Failed" value={count(wanted.totals.errors)} note={`${percent(wanted.totals.errors, wanted.totals.calls)} of ${count(wanted.totals.calls)} batches`} />
        <Figure label="Ready on" value={`${wanted.ready_on}/${wanted.placed_on}`} note="executors" />
        <Figure label="Peak memory" value={wanted.totals.peak_memory_bytes > 0 ? bytes(wanted.totals.peak_memory_bytes) : "–"} note="of an interpreter" />
      </dl>
      <div class="tabs" role="tablist" aria-label="About this function">
        {TABS.map((one) => (
          <button key={one} type="button" role="tab" id={`tab-${one}`} aria-selected={tab === one} aria-controls="panel" onClick={() => setQuery("tab", one === "Now" ? null : one)}>
            {one}{one === "Errors" && data.errors.length > 0 ? ` (${data.errors.length})` : ""}
          </button>
        ))}
      </div>
      <div id="panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
        {tab === "Now" && <Now data={data} row={wanted} />}
        {tab === "Versions" && <Versions data={data} />}
        {tab === "Executors" && <OnExecutors data={data} />}
        {tab === "Errors" && (data.errors.length === 0 ? <Empty>Nothing has failed.</Empty> : <Failures all={data.errors} />)}
        {tab === "Logs" && <Lines title="What it printed" path={`/logs/${encodeURIComponent(own)}`} empty="It has printed nothing." />}
        {tab === "Profile" && <Where name={own} />}
        {tab === "Source" && <Source name={own} />}
      </div>
    </>
  );
}

function Now({ data, row }: { data: FunctionDetail; row: FunctionRow }) {
  const track = useHistory(`function:${row.function}`);
  const metrics = data.progress?.function === row.function ? data.progress.total.metrics : [];
  return (
    <div class="grid">
      <Card title="How it goes" wide more={<Windows />}>
        <WorkCharts track={track} />
      </Card>
      <Card title="Where the time goes"><Split split={row.split} legend /></Card>
      <Card title="Sizes of its batches"><Sizes sizes={data.batch_rows} /></Card>
      <Card title="What would help" wide>
        {data.advice.length === 0 ? <Empty>The numbers advise nothing.</Empty> : (
          <ul class="notices">{data.advice.map((one) => <li key={one.advice}><State of="warning" text={one.measured} /><p>{one.action}</p></li>)}</ul>
        )}
      </Card>
      {metrics.length > 0 && (
        <Card title="Its own metrics" wide>
          <div class="scroll" role="region" aria-label="Its own metrics" tabIndex={0}>
            <table>
              <thead><tr><th scope="col">Metric</th><th scope="col">Kind</th><th scope="col" class="number">Count</th><th scope="col" class="number">Value or sum</th><th scope="col" class="number">p50</th><th scope="col" class="number">p99</th></tr></thead>
              <tbody>{metrics.map((one) => (
                <tr key={one.name}><td>{one.name}</td><td>{one.kind}</td><td class="number">{count(one.count)}</td><td class="number">{count(one.value ?? one.sum)}</td><td class="number">{one.p50 == null ? "–" : count(one.p50)}</td><td class="number">{one.p99 == null ? "–" : count(one.p99)}</td></tr>
              ))}</tbody>
            </table>
          </div>
        </Card>
      )}
      <Card title="What happened" wide><Events events={data.activity} /></Card>
    </div>
  );
}

function Versions({ data }: { data: FunctionDetail }) {
  return (
    <Card title="Versions side by side" wide>
      <div class="scroll" role="region" aria-label="Versions" tabIndex={0}>
        <table>
          <thead><tr><th scope="col">Version</th><th scope="col">State</th><th scope="col" class="number">Rows/s</th><th scope="col" class="number">p50</th><th scope="col" class="number">p95</th><th scope="col">Time</th><th scope="col" class="number">Rows</th><th scope="col" class="number">Failed</th><th scope="col">Type</th><th scope="col">Environment</th></tr></thead>
          <tbody>{data.versions.map((row) => (
            <tr key={row.function}>
              <td><a href={functionLink(row.function)}>@{row.version}</a></td><td><State of={row.state} /></td>
              <td class="number">{rate(row.rates.rows)}</td><td class="number">{duration(row.latency.p50)}</td><td class="number">{duration(row.latency.p95)}</td>
              <td><Split split={row.split} /></td><td class="number">{count(row.totals.rows)}</td><td class="number">{percent(row.totals.errors, row.totals.calls)}</td>
              <td><small>{row.kind}, {row.func_type}</small></td>
              <td><a href={`/environments/${row.environment}`}><code>{row.environment}</code></a></td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </Card>
  );
}

function OnExecutors({ data }: { data: FunctionDetail }) {
  if (data.executors.length === 0) return <Empty>No executor should serve it: see <a href="/why">why</a>.</Empty>;
  return (
    <Card title="On executors" wide>
      <div class="scroll" role="region" aria-label="On executors" tabIndex={0}>
        <table>
          <thead><tr><th scope="col">Executor</th><th scope="col">Version</th><th scope="col">State</th><th scope="col" class="number">Interpreters</th><th scope="col">Why</th></tr></thead>
          <tbody>{data.executors.map((one) => (
            <tr key={one.executor + one.function}>
              <td><a href={`/executors/${encodeURIComponent(one.executor)}`}>{one.executor}</a></td><td>{one.function}</td><td><State of={one.state.replace("LOAD_STATE_", "")} /></td>
              <td class="number">{one.interpreters}</td><td>{one.error?.message ?? one.waiting}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </Card>
  );
}

/** Seconds between two looks at a profile. */
const PROFILE_EVERY = 10;
/** The same of a source, which does not change: a coordinator that was away is asked again. */
const SOURCE_EVERY = 10;

function Where({ name }: { name: string }) {
  const { value: profile, failed } = useAsked<Profile>(`/profile/${encodeURIComponent(name)}`, PROFILE_EVERY);
  if (!profile) return failed ? <Empty>{failed}</Empty> : <Loading />;
  return (
    <Card title="Where its code spends the time" wide more={<Copy what={{ CLI: `udfleet profile ${name} --svg flame.svg`, curl: curl(`/profile/${name}`) }} />}>
      {profile.enabled ? <Flame profile={profile} /> : (
        <Empty>It is not profiled. Register it with <code>python.profile.enabled</code> = <code>true</code>: <code>{`fleet.register_function("${name.split("@", 1)[0]}", f, config={"python.profile.enabled": True})`}</code></Empty>
      )}
    </Card>
  );
}

/** Batches by their rows: tiny ones are the usual cause of slowness. */
function Sizes({ sizes }: { sizes: FunctionDetail["batch_rows"] }) {
  const most = Math.max(...sizes.map((one) => one.batches), 1);
  const all = sizes.reduce((sum, one) => sum + one.batches, 0);
  if (all === 0) return <Empty>No batch was answered yet.</Empty>;
  return (
    <table class="bars">
      <thead><tr><th scope="col" class="number">Rows</th><th scope="col"><span class="hidden">Share</span></th><th scope="col" class="number">Batches</th></tr></thead>
      <tbody>{sizes.map((one) => (
        <tr key={one.from}>
          <td class="number">{one.to > one.from ? `${count(one.from)}–${count(one.to)}` : count(one.from)}</td>
          <td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="run" width={(one.batches / most) * 100} height="10" /></svg></td>
          <td class="number">{count(one.batches)} <small>{percent(one.batches, all)}</small></td>
        </tr>
      ))}</tbody>
    </table>
  );
}

function Source({ name }: { name: string }) {
  const { value, failed } = useAsked<FunctionView[]>(`/functions/${encodeURIComponent(name)}`, SOURCE_EVERY);
  const view = value?.at(-1);
  if (!view) return failed ? <Empty>{failed}</Empty> : <Loading />;
  const signature = `(${view.input_types?.join(", ") ?? "any columns"}) → ${view.result_type}`;
  const config = Object.entries(view.config);
  return (
    <div class="grid">
      <Card title="Source" wide>
        {view.doc && <p>{view.doc}</p>}
        {view.source ? <pre tabIndex={0}><code>{view.source}</code></pre> : <Empty>Its source was not to be had when it was registered.</Empty>}
      </Card>
      <Card title="Declared as">
        <dl class="pairs">
          <div><dt>Types</dt><dd><code>{signature}</code></dd></div>
          <div><dt>Kind</dt><dd>{view.kind}, {view.func_type}{view.asynchronous ? ", async" : ""}</dd></div>
          <div><dt>Deterministic</dt><dd>{view.deterministic ? "yes" : "no"}</dd></div>
          <div><dt>On an error</dt><dd>{view.on_error}</dd></div>
          <div><dt>Registered</dt><dd><Since unixMs={view.created_unix_ms} /> {view.job && `by job ${view.job}`}</dd></div>
        </dl>
      </Card>
      <Card title="Runs with">
        <dl class="pairs">
          <div><dt>Python</dt><dd>{view.python || "any"}</dd></div>
          <div><dt>Packages</dt><dd>{view.requirements.length === 0 ? "none" : view.requirements.map((line) => <code key={line}>{line}</code>)}</dd></div>
          <div><dt>Environment</dt><dd><a href={`/environments/${view.environment}`}><code>{view.environment}</code></a></dd></div>
          {config.map(([key, value]) => <div key={key}><dt><code>{key}</code></dt><dd>{value}</dd></div>)}
        </dl>
      </Card>
    </div>
  );
}
