// Where the time goes, as a flame graph that grows downwards: a frame's width is its share. Frames are buttons, so that
// the keyboard goes through them; a click makes one as wide as the page.
import { useState } from "preact/hooks";
import type { Profile } from "../api";
import { duration, percent } from "../format";
import { Empty } from "./small";

interface Frame {
  name: string;
  /** Samples in it, and in it alone. */
  total: number;
  own: number;
  children: Map<string, Frame>;
  path: string;
}

/** Narrower frames are not drawn, as a share of the whole. */
const LEAST = 0.002;
/** Wider ones can be hit with a finger, on a telephone too, as a share of what is shown. */
const WIDE = 0.08;
/** Height of a frame and what is between two, in pixels. */
const ROW = 25;
/** Deeper ones neither. */
const DEEPEST = 80;
/** Rows of the table behind it. */
const HOTTEST = 15;

const frame = (name: string, path: string): Frame => ({ name, total: 0, own: 0, children: new Map(), path });

export function tree(profile: Profile): Frame {
  const root = frame("all", "");
  for (const { frames, samples } of profile.stacks) {
    let at = root;
    at.total += samples;
    for (const name of frames) {
      let next = at.children.get(name);
      if (!next) {
        next = frame(name, `${at.path};${name}`);
        at.children.set(name, next);
      }
      next.total += samples;
      at = next;
    }
    at.own += samples;
  }
  return root;
}

function find(root: Frame, path: string): Frame | undefined {
  if (root.path === path) return root;
  for (const child of root.children.values()) {
    if (path === child.path || path.startsWith(`${child.path};`)) return find(child, path);
  }
  return undefined;
}

/** `main.py:add:12` as a person reads it. */
function said(name: string): { what: string; where: string } {
  const [file = "", what = "", line = ""] = name.split(":");
  return what ? { what, where: `${file}:${line}` } : { what: name, where: "" };
}

/** Code of one file has one colour. */
function colour(name: string): string {
  let sum = 0;
  for (const letter of name.split(":", 1)[0] ?? "") sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  return ["queue", "transfer", "convert", "run"][sum % 4] ?? "run";
}

/** Samples of stacks in which some frame has the text. */
function matched(at: Frame, search: string): number {
  if (at.name.toLowerCase().includes(search)) return at.total;
  return [...at.children.values()].reduce((sum, child) => sum + matched(child, search), 0);
}

export function Flame({ profile }: { profile: Profile }) {
  const [zoom, setZoom] = useState("");
  const [search, setSearch] = useState("");
  const root = tree(profile);
  const top = find(root, zoom) ?? root;
  if (root.total === 0) return <Empty>Nothing was sampled yet: it is sampled while it runs.</Empty>;
  const rows: { at: Frame; left: number; depth: number }[] = [];
  let deepest = 0;
  const place = (at: Frame, left: number, depth: number) => {
    rows.push({ at, left, depth });
    deepest = Math.max(deepest, depth);
    if (depth >= DEEPEST) return;
    for (const child of [...at.children.values()].sort((a, b) => b.total - a.total)) {
      if (child.total / top.total >= LEAST) place(child, left, depth + 1);
      left += child.total;
    }
  };
  place(top, 0, 0);
  const wanted = search.toLowerCase();
  const seconds = (samples: number) => duration(samples * profile.period_seconds);
  return (
    <>
      <div class="row filters">
        <label class="search"><span class="hidden">Search frames</span><input type="search" placeholder="Search frames" value={search} onInput={(event) => setSearch(event.currentTarget.value)} /></label>
        {wanted && <span role="status">{percent(matched(top, wanted), top.total)} of the time</span>}
        {zoom && <button type="button" onClick={() => setZoom("")}>All of it</button>}
        <span class="muted">{seconds(top.total)} sampled on {profile.executors.length === 1 ? "1 executor" : `${profile.executors.length} executors`}</span>
      </div>
      <div class="flame" style={{ height: `${(deepest + 1) * ROW}px` }}>
        {rows.map(({ at, left, depth }) => {
          const { what, where } = said(at.name);
          const text = `${what} ${where}: ${percent(at.total, root.total)}, ${seconds(at.total)}; itself ${percent(at.own, root.total)}`;
          const share = at.total / top.total;
          const shown = {
            class: `${at === root ? "whole" : colour(at.name)}${wanted && at.name.toLowerCase().includes(wanted) ? " hit" : ""}`,
            style: { left: `${(left / top.total) * 100}%`, width: `${share * 100}%`, top: `${depth * ROW}px` },
            title: text,
          };
          // What is too narrow to hit is wide once the frame above it is.
          if (share < WIDE) return <span key={at.path} {...shown}>{what} <small>{where}</small></span>;
          return <button key={at.path} type="button" aria-label={text} onClick={() => setZoom(at.path)} {...shown}>{what} <small>{where}</small></button>;
        })}
      </div>
      {profile.left_out > 0 && <p class="muted">Rare stacks of {seconds(profile.left_out)} are left out.</p>}
      <Hottest root={root} seconds={seconds} />
    </>
  );
}

/** The same for those who read tables. */
function Hottest({ root, seconds }: { root: Frame; seconds: (samples: number) => string }) {
  const own = new Map<string, { own: number; total: number }>();
  const visit = (at: Frame, above: Set<string>) => {
    const held = own.get(at.name) ?? { own: 0, total: 0 };
    own.set(at.name, { own: held.own + at.own, total: held.total + (above.has(at.name) ? 0 : at.total) });
    const below = new Set(above).add(at.name);
    at.children.forEach((child) => visit(child, below));
  };
  root.children.forEach((child) => visit(child, new Set()));
  const rows = [...own.entries()].sort((a, b) => b[1].own - a[1].own).slice(0, HOTTEST);
  return (
    <div class="scroll" role="region" aria-label="Most time" tabIndex={0}>
      <table>
        <thead><tr><th scope="col">Function</th><th scope="col">Place</th><th scope="col" class="number">Itself</th><th scope="col" class="number">With what it calls</th></tr></thead>
        <tbody>{rows.map(([name, one]) => (
          <tr key={name}><td>{said(name).what}</td><td><code>{said(name).where}</code></td>
            <td class="number">{percent(one.own, root.total)} <small>{seconds(one.own)}</small></td>
            <td class="number">{percent(one.total, root.total)}</td></tr>
        ))}</tbody>
      </table>
    </div>
  );
}
