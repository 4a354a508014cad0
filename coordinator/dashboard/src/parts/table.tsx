// Tables that sort, filter, and stay still while somebody points at them.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { query, setQuery } from "../router";

export interface Column<Row> {
  name: string;
  /** By what it sorts; without it, it doesn't. */
  by?: (row: Row) => number | string;
  show: (row: Row) => ComponentChildren;
  number?: boolean;
  /** Left out where there is little room. */
  minor?: boolean;
}

interface Props<Row> {
  label: string;
  rows: Row[];
  columns: Column<Row>[];
  id: (row: Row) => string;
  /** What a search looks in. */
  text?: (row: Row) => string;
  /** By which column it is sorted at first: its name, with "-" before it for largest first. */
  sort: string;
  empty: ComponentChildren;
}

/** Rows that are shown before somebody asks for all. */
const SHOWN = 100;

export function Table<Row>({ label, rows, columns, id, text, sort, empty }: Props<Row>) {
  const [all, setAll] = useState(false);
  const pointed = useRef(false);
  const order = useRef<string[]>([]);
  const wanted = query.value.get("sort") ?? sort;
  const search = (query.value.get("q") ?? "").toLowerCase();
  const falling = wanted.startsWith("-");
  const column = columns.find((one) => one.name === wanted.replace("-", ""));
  const found = text && search ? rows.filter((row) => text(row).toLowerCase().includes(search)) : rows;
  const by = column?.by;
  let sorted = by ? [...found].sort((a, b) => compare(by(a), by(b)) * (falling ? -1 : 1)) : found;
  // Rows don't move away under a pointer.
  if (pointed.current && order.current.length > 0) {
    const place = new Map(order.current.map((key, index) => [key, index]));
    sorted = [...sorted].sort((a, b) => (place.get(id(a)) ?? 1e9) - (place.get(id(b)) ?? 1e9));
  } else order.current = sorted.map(id);
  const shown = all ? sorted : sorted.slice(0, SHOWN);

  const head = (one: Column<Row>) => {
    const here = one === column;
    const next = here && falling ? one.name : here ? `-${one.name}` : one.number ? `-${one.name}` : one.name;
    return (
      <th key={one.name} scope="col" class={cls(one)} aria-sort={here ? (falling ? "descending" : "ascending") : undefined}>
        {one.by ? (
          <button type="button" onClick={() => { order.current = []; pointed.current = false; setQuery("sort", next); }}>
            {one.name}<span aria-hidden="true">{here ? (falling ? " ↓" : " ↑") : ""}</span>
          </button>
        ) : one.name}
      </th>
    );
  };
  return (
    <>
      {text && (rows.length > 8 || search) && (
        <label class="search">
          <span class="hidden">Search {label}</span>
          <input type="search" placeholder={`Search ${rows.length} ${label}`} value={query.value.get("q") ?? ""}
            onInput={(event) => setQuery("q", event.currentTarget.value)} />
        </label>
      )}
      {rows.length === 0 ? empty : shown.length === 0 ? <p class="empty">None of {rows.length} {label} matches “{search}”.</p> : (
        // A region that scrolls can be reached by keyboard.
        <div class="scroll" role="region" aria-label={label} tabIndex={0}
          onPointerEnter={() => (pointed.current = true)} onPointerLeave={() => (pointed.current = false)}>
          <table>
            <thead><tr>{columns.map(head)}</tr></thead>
            <tbody>
              {shown.map((row) => (
                <tr key={id(row)}>{columns.map((one) => <td key={one.name} class={cls(one)}>{one.show(row)}</td>)}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {sorted.length > shown.length && (
        <button type="button" class="quiet" onClick={() => setAll(true)}>Show all {sorted.length}</button>
      )}
    </>
  );
}

const cls = <Row,>(column: Column<Row>): string => `${column.number ? "number" : ""} ${column.minor ? "minor" : ""}`.trim();

function compare(a: number | string, b: number | string): number {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
}
