// Is it well? What changed? What is the bottleneck?
import type { Overview as Data } from "../api";
import { bytes, count, duration, rate } from "../format";
import { topic } from "../live";
import { Windows, useHistory } from "../parts/chart";
import { Card, Copy, Empty, Events, Figure, For, Loading, Since, Spark, Split, Subject, curl, functionLink } from "../parts/small";
import { State } from "../parts/state";
import { WorkCharts } from "../parts/work";

export function Overview() {
  const data = topic<Data>("overview").value;
  const track = useHistory("fleet");
  if (!data) return <Loading />;
  const ready = data.executors.ready ?? 0;
  const executors = Object.values(data.executors).reduce((sum, one) => sum + one, 0);
  const functions = Object.values(data.functions).reduce((sum, one) => sum + one, 0);
  return (
    <>
      <div class="title">
        <h1>Overview</h1>
        <Windows />
        <Copy what={{ CLI: "udfleet top", curl: curl("/topics/overview"), PromQL: "sum(rate(udfleet_function_rows_total[1m]))", JSON: JSON.stringify(data) }} />
      </div>
      <dl class="figures">
        <Figure label="Rows a second" value={rate(data.rates.rows)} note={`${rate(data.rates.calls)} batches`} />
        <Figure label="Failing batches" value={rate(data.rates.errors)} note="a second" />
        <Figure label="Latency p95" value={duration(data.latency.p95)} note={`p50 ${duration(data.latency.p50)}`} />
        <Figure label="Busy interpreters" value={count(data.rates.busy)} note={`of ${data.interpreters}, at most ${data.max_interpreters}`} />
        <Figure label="Memory" value={bytes(data.memory_bytes)} note="of interpreters" />
        <Figure label="Executors" value={`${ready}/${executors}`} note="ready" />
        <Figure label="Functions" value={`${data.functions.READY ?? 0}/${functions}`} note="ready" />
      </dl>
      <div class="grid">
        <Card title="Throughput and latency" wide>
          <WorkCharts track={track} />
        </Card>
        <Card title="Where the time goes"><Split split={data.split} legend /></Card>
        <Card title="Interpreters"><Slots data={data} /></Card>
        <Card title="Most time" more={<a href="/functions">All functions</a>}><Top rows={data.top} empty="Nothing has been called in the last minute." /></Card>
        <Card title="Failing" more={<a href="/errors">All errors</a>}><Top rows={data.failing} errors empty="No batch has failed." /></Card>
        <Card title="Waiting" more={<a href="/why">Why pending</a>}>
          {data.notices.length === 0 ? <Empty>{data.waiting === 0 ? "Nothing waits." : `${data.waiting} waiting, and none needs you.`}</Empty> : (
            <ul class="notices">{data.notices.map((one) => (
              <li key={one.subject + one.reason}><State of={one.severity} text={one.reason} /> <Subject kind={one.kind} subject={one.subject} /> <span>{one.evidence}</span> <small><For unixMs={one.since_unix_ms} /></small></li>
            ))}</ul>
          )}
        </Card>
        <Card title="Coordinators">
          <ul class="plain">{data.coordinators.map((one) => (
            <li key={one.id}><span title={one.id}>{one.id.slice(0, 12)}</span> <code>{one.address}</code> <small>{[one.leads && "leads", one.here && "you are here"].filter(Boolean).join(", ")}</small></li>
          ))}</ul>
          <p class="muted">Version {data.version}, started <Since unixMs={data.started_unix_ms} />. {data.streams_open === 1 ? "1 stream is" : `${data.streams_open} streams are`} open here.</p>
        </Card>
        <Card title="What happened" wide more={<a href="/events">All events</a>}><Events events={data.activity} /></Card>
      </div>
    </>
  );
}

/** Squares of an executor that are drawn although nothing has started there. */
const ROOM = 12;

/** One square for each interpreter: filled while it runs user code, outlined while it waits, dotted where there is room. */
function Slots({ data }: { data: Data }) {
  if (data.slots.length === 0) return <Empty>No executor is attached. Start one: <code>udfleet-executor --coordinator HOST:PORT</code></Empty>;
  return (
    <>
      <ul class="slots">
        {data.slots.map((slot) => {
          const most = Math.min(64, Math.max(slot.interpreters, Math.min(slot.max_interpreters, ROOM)));
          const busy = Math.min(slot.interpreters, slot.busy);
          const text = `${count(busy)} of ${slot.interpreters} interpreters busy, at most ${slot.max_interpreters}, ${slot.in_flight} batches in flight`;
          return (
            <li key={slot.executor}>
              <a href={`/executors/${encodeURIComponent(slot.executor)}`}>{slot.executor}</a>
              <Squares text={text} busy={busy} started={slot.interpreters} most={most} />
              <small>{count(busy)} of {slot.interpreters}</small>
            </li>
          );
        })}
      </ul>
      <p class="muted">Filled: in a function's code, on average over five seconds. Dotted: room for more.</p>
    </>
  );
}

/** Squares in a row. */
const IN_ROW = 16;

/** A square for each interpreter, filled as far as it is busy: three shapes, however many there are. */
function Squares({ text, busy, started, most }: { text: string; busy: number; started: number; most: number }) {
  const square = (index: number, part = 1) => `M${(index % IN_ROW) * 13 + 1} ${Math.floor(index / IN_ROW) * 13 + 1 + 10 * (1 - part)}h10v${10 * part}h-10z`;
  const squares = (from: number, to: number, part = (_: number) => 1) =>
    Array.from({ length: Math.max(0, to - from) }, (_, at) => square(from + at, part(from + at))).join("");
  const [width, height] = [Math.min(most, IN_ROW) * 13, Math.ceil(most / IN_ROW) * 13];
  return (
    <svg class="squares" role="img" aria-label={text} width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
      <title>{text}</title>
      <path class="room" d={squares(started, most)} />
      <path class="started" d={squares(0, started)} />
      <path class="fill" d={squares(0, Math.min(started, Math.ceil(busy)), (index) => Math.min(1, busy - index))} />
    </svg>
  );
}

function Top({ rows, errors, empty }: { rows: Data["top"]; errors?: boolean; empty: string }) {
  if (rows.length === 0) return <Empty>{empty}</Empty>;
  return (
    <table class="compact">
      <thead><tr><th scope="col">Function</th><th scope="col" class="number">{errors ? "Failed" : "Rows/s"}</th><th scope="col" class="number">{errors ? "Now, /s" : "p95"}</th><th scope="col" class="minor">{errors ? "Rows/s" : "Time"}</th></tr></thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.function}>
            <td><a href={functionLink(row.function)}>{row.function}</a></td>
            <td class="number">{errors ? count(row.errors) : rate(row.rates.rows)}</td>
            <td class="number">{errors ? rate(row.rates.errors) : duration(row.latency.p95)}</td>
            <td class="minor">{errors ? <Spark values={row.rates.spark} /> : <Split split={row.split} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
