// Lines that something prints: they follow, stop when somebody reads, and count what repeats.
import { useEffect, useRef, useState } from "preact/hooks";
import type { LogRow } from "../api";
import { useAsked } from "../asked";
import { clock } from "../format";
import { query, setQuery } from "../router";
import { Card, Empty, Loading } from "./small";

/** Lines that are asked for. */
const LINES = 500;
/** Seconds between two questions. */
const EVERY = 2;

interface Repeated {
  row: LogRow;
  times: number;
}

/** `/text/` is a regular expression; one that is none yet is plain text. */
function matcher(search: string): (text: string) => boolean {
  if (search.length > 2 && search.startsWith("/") && search.endsWith("/")) {
    try {
      const expression = new RegExp(search.slice(1, -1), "i");
      return (text) => expression.test(text);
    } catch {
      // It is being typed.
    }
  }
  const plain = search.toLowerCase();
  return (text) => text.toLowerCase().includes(plain);
}

function repeats(rows: LogRow[]): Repeated[] {
  const found: Repeated[] = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last && last.row.text === row.text && last.row.executor === row.executor && last.row.stream === row.stream) {
      found[found.length - 1] = { row, times: last.times + 1 };
    } else found.push({ row, times: 1 });
  }
  return found;
}

const key = (row: LogRow | undefined): string => (row ? `${row.unix_ms} ${row.executor} ${row.text}` : "");

export function Lines({ title, path, empty }: { title: string; path: string; empty: string }) {
  const { value: newest, failed } = useAsked<LogRow[]>(`${path}?tail=${LINES}`, EVERY);
  const [held, setHeld] = useState<LogRow[] | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const following = held === null;
  useEffect(() => {
    if (following && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [newest, following]);
  if (!newest) return failed ? <Empty>{failed}</Empty> : <Loading />;
  // Who scrolls up reads: the lines stay where they are.
  const scrolled = () => {
    const at = box.current;
    if (!at) return;
    const below = at.scrollHeight - at.scrollTop - at.clientHeight;
    if (following && below > 40) setHeld(newest);
    if (!following && below < 4) setHeld(null);
  };
  const rows = held ?? newest;
  const last = newest.map(key).lastIndexOf(key(held?.at(-1)));
  const fresh = held ? newest.length - 1 - last : 0;
  const search = query.value.get("q") ?? "";
  const executors = [...new Set(rows.map((row) => row.executor))].sort();
  const streams = [...new Set(rows.map((row) => row.stream))].sort();
  const executor = query.value.get("executor") ?? "";
  const stream = query.value.get("stream") ?? "";
  const found = matcher(search);
  const shown = repeats(rows.filter((row) => (!executor || row.executor === executor) && (!stream || row.stream === stream) && found(row.text)));
  const choice = (name: string, label: string, value: string, all: string[]) => (all.length > 1 || value) && (
    <label><span class="hidden">{label}</span><select value={value} onChange={(event) => setQuery(name, event.currentTarget.value)}>
      <option value="">every {label}</option>{all.map((one) => <option key={one} value={one}>{one}</option>)}
    </select></label>
  );
  return (
    <Card title={title} wide more={
      <span class="row">
        {choice("executor", "executor", executor, executors)}
        {choice("stream", "stream", stream, streams)}
        <label class="search"><span class="hidden">Search lines</span><input type="search" placeholder="Search lines, or /regex/" value={search} onInput={(event) => setQuery("q", event.currentTarget.value)} /></label>
        <label><input type="checkbox" checked={following} onChange={(event) => setHeld(event.currentTarget.checked ? null : newest)} /> follow</label>
      </span>
    }>
      {rows.length === 0 ? <Empty>{empty}</Empty> : shown.length === 0 ? <Empty>None of {rows.length} lines has “{search}”.</Empty> : (
        <div class="logs" role="log" aria-label={title} aria-live="off" tabIndex={0} ref={box} onScroll={scrolled}><ol>
          {shown.map(({ row, times }, index) => (
            <li key={index} class={row.stream}><time>{clock(row.unix_ms)}</time><small>{row.executor}</small><span>{row.text}{times > 1 && <b class="times">×{times}</b>}</span></li>
          ))}
        </ol></div>
      )}
      {fresh > 0 && <button type="button" class="quiet" onClick={() => setHeld(null)}>{fresh} new ↓</button>}
    </Card>
  );
}
