// Small parts of pages.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { TimeSplit, Activity } from "../api";
import { ago, clock, duration, percent } from "../format";
import { now } from "../live";
import { State } from "./state";

export function Card({ title, children, more, wide }: { title: string; children: ComponentChildren; more?: ComponentChildren; wide?: boolean }) {
  return (
    <section class={wide ? "card wide" : "card"}>
      <header><h2>{title}</h2>{more}</header>
      {children}
    </section>
  );
}

export function Figure({ label, value, note }: { label: string; value: ComponentChildren; note?: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd><b>{value}</b>{note && <small>{note}</small>}</dd>
    </div>
  );
}

/** What is said where there is nothing to show. */
export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Loading() {
  return <p class="empty" role="status">Loading…</p>;
}

/** Rows over the last five minutes. */
export function Spark({ values }: { values: number[] }) {
  if (values.length < 2) return <span class="muted">–</span>;
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, index) => `${((index / (values.length - 1)) * 96 + 2).toFixed(1)},${(20 - (value / most) * 17).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 100 22" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(" ")} />
    </svg>
  );
}

const PARTS = ["queue", "transfer", "convert", "run"] as const;
const MEANING = {
  queue: "waiting for an interpreter",
  transfer: "to the interpreter and back",
  convert: "between Arrow and Python",
  run: "in the function's code",
};

/** Where the time goes. */
export function Split({ split, legend }: { split: TimeSplit; legend?: boolean }) {
  const total = PARTS.reduce((sum, part) => sum + split[part], 0);
  if (total <= 0) return legend ? <Empty>Nothing has run in the last minute.</Empty> : <span class="muted">–</span>;
  const text = PARTS.map((part) => `${part} ${percent(split[part], total)}`).join(", ");
  let left = 0;
  const bar = PARTS.map((part) => {
    const width = (split[part] / total) * 100;
    left += width;
    return <rect key={part} class={part} x={left - width} y="0" width={width} height="10" />;
  });
  return (
    <>
      <svg class={legend ? "split tall" : "split"} viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label={text}>{bar}</svg>
      {legend && (
        <dl class="legend">
          {PARTS.map((part) => (
            <div key={part}>
              <dt><i class={part} />{part} <small>{MEANING[part]}</small></dt>
              <dd>{percent(split[part], total)} <small>{duration(split[part])} a second</small></dd>
            </div>
          ))}
        </dl>
      )}
    </>
  );
}

export function Since({ unixMs }: { unixMs: number }) {
  return <time dateTime={new Date(unixMs).toISOString()} title={new Date(unixMs).toLocaleString("en-GB")}>{ago(unixMs, now.value)}</time>;
}

/** How long something has been so. */
export function For({ unixMs }: { unixMs: number }) {
  return <time dateTime={new Date(unixMs).toISOString()} title={new Date(unixMs).toLocaleString("en-GB")}>for {duration(Math.max(1, Math.round((now.value - unixMs) / 1000)))}</time>;
}

export const functionLink = (name: string): string => `/functions/${encodeURIComponent(name)}`;

export function Subject({ kind, subject }: { kind: string; subject: string }) {
  if (!subject) return null;
  if (kind === "function") return <a href={functionLink(subject)}>{subject}</a>;
  if (kind === "executor") return <a href={`/executors/${encodeURIComponent(subject)}`}>{subject}</a>;
  return <>{subject}</>;
}

/** What it is about is a link where the text names it. */
function Message({ event }: { event: Activity }) {
  const at = event.subject ? event.message.indexOf(event.subject) : -1;
  if (at < 0) return <>{event.message}</>;
  return <>{event.message.slice(0, at)}<Subject kind={event.kind} subject={event.subject} />{event.message.slice(at + event.subject.length)}</>;
}

export function Events({ events }: { events: Activity[] }) {
  if (events.length === 0) return <Empty>Nothing has happened yet.</Empty>;
  return (
    <ol class="events">
      {events.map((event) => (
        <li key={event.id} class={event.severity}>
          <time dateTime={new Date(event.unix_ms).toISOString()} title={new Date(event.unix_ms).toLocaleString("en-GB")}>{clock(event.unix_ms)}</time>
          <State of={event.severity} />
          <span class="grow"><Message event={event} /></span>
        </li>
      ))}
    </ol>
  );
}

export interface Copies {
  [what: string]: string;
}

/** Copy as a command, a request, a query: never with a token. */
export function Copy({ what }: { what: Copies }) {
  const [done, setDone] = useState("");
  const take = (name: string, text: string, event: Event) => {
    (event.currentTarget as HTMLElement).closest("details")?.removeAttribute("open");
    navigator.clipboard?.writeText(text).then(() => setDone(`${name} is copied`), () => setDone("The browser does not let me copy"));
    setTimeout(() => setDone(""), 3000);
  };
  return (
    <div class="copy">
      <span role="status">{done}</span>
      <details class="menu">
        <summary>Copy</summary>
        <ul>
          {Object.entries({ Link: window.location.href, ...what }).map(([name, text]) => (
            <li key={name}><button type="button" onClick={(event) => take(name, text, event)}>{name}<code>{text}</code></button></li>
          ))}
        </ul>
      </details>
    </div>
  );
}

export const curl = (path: string): string => `curl -H "Authorization: Bearer $UDFLEET_TOKEN" '${window.location.origin}/api/v1${path}'`;
