// What waits, for what, since when, and what would help?
import type { Waiting } from "../api";
import { topic } from "../live";
import { Copy, Empty, For, Loading, Subject, curl } from "../parts/small";
import { State } from "../parts/state";

export function Why() {
  const all = topic<Waiting[]>("waiting").value;
  return (
    <>
      <div class="title"><h1>Why pending</h1><Copy what={{ CLI: "udfleet why", curl: curl("/topics/waiting"), JSON: JSON.stringify(all) }} /></div>
      {!all ? <Loading /> : all.length === 0 ? <Empty>Nothing waits: every function can be called, and no call has waited for long.</Empty> : (
        <ul class="why">
          {all.map((one) => (
            <li key={one.reason + one.subject} class={`card ${one.severity}`}>
              <p class="row"><State of={one.severity} text={one.reason} /> <strong><Subject kind={one.kind} subject={one.subject} /></strong> <small><For unixMs={one.since_unix_ms} /></small></p>
              <p>{one.evidence}</p>
              {one.remedy && <p class="remedy"><b>What would help:</b> {one.remedy}</p>}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
