// Batches that failed and are kept: how to run one again.
import { useState } from "preact/hooks";
import type { CapsuleRow } from "../api";
import { useAsked } from "../asked";
import { bytes, count } from "../format";
import { session } from "../session";
import { Copy, Since } from "./small";

/** Seconds between two questions, which go to all executors. */
const EVERY = 5;

/** Asks only while it is open. */
export function Capsules({ name }: { name: string }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="capsules" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Failed batches that are kept</summary>
      {open && <List name={name} />}
    </details>
  );
}

function List({ name }: { name: string }) {
  const { value, failed } = useAsked<CapsuleRow[]>(`/capsules/${encodeURIComponent(name)}`, EVERY);
  const inspects = session.value.state === "in" && session.value.who.inspects;
  if (!value) return <p class="muted" role="status">{failed || "Loading…"}</p>;
  if (value.length === 0) return <p class="muted">None is: register the function with <code>udfleet.capsules = errors</code> to keep some of its batches that fail.</p>;
  return (
    <>
      <ul>{value.map((one) => <Kept key={one.id} one={one} inspects={inspects} />)}</ul>
      {!inspects && <p class="muted">To run or download one takes a token with the role inspect: a batch holds what callers have sent.</p>}
    </>
  );
}

function Kept({ one, inspects }: { one: CapsuleRow; inspects: boolean }) {
  const rows = one.kept_rows === one.rows ? `${count(one.rows)} rows` : `${count(one.kept_rows)} of ${count(one.rows)} rows`;
  return (
    <li class="row">
      <code>{one.id}</code>
      <span>{one.exception || one.code}, <Since unixMs={one.unix_ms} /></span>
      <span class="muted">{rows}, {bytes(one.bytes)}{one.redacted.length > 0 && `, without ${one.redacted.join(", ")}`}</span>
      {inspects && <a href={`/api/v1/capsules/${one.id}/file`} download>Download</a>}
      <Copy what={{ Replay: `udfleet replay ${one.id}`, Debug: `udfleet replay ${one.id} --pdb`, Test: `udfleet replay ${one.id} --write-test test_replay.py` }} />
    </li>
  );
}
