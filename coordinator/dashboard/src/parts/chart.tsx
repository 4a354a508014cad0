// How something went: lines over time, with the numbers behind them.
import { effect, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { type History, ask } from "../api";
import { clock } from "../format";
import { second } from "../live";
import { query, setQuery } from "../router";
import { dark } from "../theme";

const WINDOWS = ["5m", "1h", "24h"] as const;
const EVERY: Record<string, number> = { "5m": 2, "1h": 10, "24h": 60 };

/** The window that all charts of the page show. */
export const chartWindow = (): string => query.value.get("window") ?? "5m";

export function Windows() {
  return (
    <div class="windows" role="group" aria-label="Time shown">
      {WINDOWS.map((one) => (
        <button key={one} type="button" aria-pressed={chartWindow() === one} onClick={() => setQuery("window", one === "5m" ? null : one)}>{one}</button>
      ))}
    </div>
  );
}

/** What was told last of how something went, and why there is nothing newer. */
export interface Track {
  history: History | null;
  failed: string;
}

/** The history of a series, as it goes on. */
export function useHistory(series: string): Track {
  const [track, setTrack] = useState<Track>({ history: null, failed: "" });
  const window_ = chartWindow();
  useEffect(() => {
    let over = false;
    let last = -1e9;
    setTrack({ history: null, failed: "" });
    const stop = effect(() => {
      const tick = second.value?.tick ?? 0;
      // Counts from the beginning again after a restart.
      if (tick >= last && tick - last < (EVERY[window_] ?? 10)) return;
      last = tick;
      ask<History>(`/history?series=${encodeURIComponent(series)}&window=${window_}`).then(
        (history) => { if (!over) setTrack({ history, failed: "" }); },
        (error: unknown) => {
          const failed = error instanceof Error ? error.message : String(error);
          if (!over) setTrack((former) => ({ ...former, failed }));
        },
      );
    });
    return () => {
      over = true;
      stop();
    };
  }, [series, window_]);
  return track;
}

interface Line {
  field: string;
  label: string;
  colour: string;
}

interface Props {
  title: string;
  track: Track;
  lines: Line[];
  format: (value: number) => string;
}

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function Chart({ title, track: { history, failed }, lines, format }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef<uPlot.AlignedData>([[]]);
  const [open] = useState(() => signal(false));

  const columns = lines.map((line) => history?.fields.find((field) => field.name === line.field)?.values ?? []);
  const length = Math.max(0, ...columns.map((column) => column.length));
  const end = history ? history.end_unix_ms / 1000 : 0;
  const step = history?.step_seconds ?? 1;
  const times = Array.from({ length }, (_, index) => end - (length - 1 - index) * step);
  latest.current = [times, ...columns] as uPlot.AlignedData;

  useEffect(() => {
    const box = place.current;
    if (!box || length === 0) return;
    const make = () => {
      plot.current?.destroy();
      const axis = { stroke: css("muted"), grid: { stroke: css("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
      plot.current = new uPlot(
        {
          width: box.clientWidth,
          height: 180,
          legend: { show: false },
          cursor: { y: false, points: { size: 6 } },
          scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.15 : 1] } },
          axes: [
            { ...axis, values: (_, at, __, ___, every) => at.map((time) => clock(time * 1000).slice(0, every >= 60 ? 5 : 8)), space: 72 },
            { ...axis, values: (_, at) => at.map(format), size: 62 },
          ],
          series: [{}, ...lines.map((line) => ({ stroke: css(line.colour), width: 1.6, spanGaps: false, points: { show: false } }))],
        },
        latest.current,
        box,
      );
    };
    const stop = effect(() => {
      dark.value;
      make();
    });
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height: 180 }));
    sizes.observe(box);
    return () => {
      stop();
      sizes.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [length === 0, lines.map((line) => line.field).join(), step]);
  useEffect(() => plot.current?.setData(latest.current));

  const newest = (index: number) => columns[index]?.findLast((value) => value !== null) ?? null;
  const said = lines.map((line, index) => `${line.label} ${newest(index) === null ? "–" : format(newest(index) ?? 0)}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <span class="keys">{lines.map((line, index) => (
          <span key={line.field}><i style={{ background: `var(--${line.colour})` }} />{line.label} <b>{newest(index) === null ? "–" : format(newest(index) ?? 0)}</b></span>
        ))}</span>
      </figcaption>
      {failed && <p class={history ? "muted" : "empty"} role="status">{history ? `Nothing newer: ${failed}` : failed}</p>}
      {history && length === 0 ? <p class="empty">Nothing was called yet, so there is nothing to draw.</p> : (
        <div ref={place} class="plot" role="img" aria-label={`${title}: ${said}`} />
      )}
      {length > 0 && (
        <details onToggle={(event) => (open.value = event.currentTarget.open)}>
          <summary>Numbers</summary>
          {open.value && (
            <div class="scroll" role="region" aria-label={`${title}, numbers`} tabIndex={0}>
              <table>
                <thead><tr><th scope="col">Time</th>{lines.map((line) => <th key={line.field} scope="col" class="number">{line.label}</th>)}</tr></thead>
                <tbody>
                  {times.slice(-60).reverse().map((time, row) => (
                    <tr key={time}><td>{clock(time * 1000)}</td>{columns.map((column, index) => {
                      const value = column[column.length - 1 - row];
                      return <td key={index} class="number">{value === null || value === undefined ? "–" : format(value)}</td>;
                    })}</tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </details>
      )}
    </figure>
  );
}
