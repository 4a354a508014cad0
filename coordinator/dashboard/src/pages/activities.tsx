// What happened, and to what?
import { useEffect, useState } from "preact/hooks";
import { type Activity, ask } from "../api";
import { topic } from "../live";
import { Card, Copy, Events, Loading, curl } from "../parts/small";
import { query, setQuery } from "../router";

/** Older events that are asked for at once. */
const PAGE = 100;

export function Activities() {
  const live = topic<Activity[]>("activity").value;
  const [older, setOlder] = useState<Activity[]>([]);
  const [end, setEnd] = useState(false);
  const severity = query.value.get("severity") ?? "info";
  const kind = query.value.get("kind") ?? "";
  useEffect(() => {
    setOlder([]);
    setEnd(false);
  }, [severity, kind]);
  if (!live) return <Loading />;
  const order = ["info", "warning", "error"];
  const known = new Map([...live, ...older].map((event) => [event.id, event]));
  const shown = [...known.values()]
    .filter((event) => order.indexOf(event.severity) >= order.indexOf(severity) && (!kind || event.kind === kind))
    .sort((a, b) => b.id - a.id);
  const more = async () => {
    const last = Math.min(...known.keys());
    const came = await ask<Activity[]>(`/activity?before=${last}&limit=${PAGE}&severity=${severity}${kind ? `&kind=${kind}` : ""}`).catch(() => []);
    setOlder([...older, ...came]);
    setEnd(came.length < PAGE);
  };
  return (
    <>
      <div class="title"><h1>Events</h1><Copy what={{ CLI: `udfleet events --follow${severity === "info" ? "" : ` --severity ${severity}`}`, curl: curl(`/activity?severity=${severity}`), JSON: shown.map((event) => JSON.stringify(event)).join("\n") }} /></div>
      <div class="row filters">
        <label>At least <select value={severity} onChange={(event) => setQuery("severity", event.currentTarget.value === "info" ? null : event.currentTarget.value)}>
          <option value="info">info</option><option value="warning">warning</option><option value="error">error</option>
        </select></label>
        <label>About <select value={kind} onChange={(event) => setQuery("kind", event.currentTarget.value)}>
          <option value="">everything</option><option value="function">functions</option><option value="executor">executors</option><option value="coordinator">coordinators</option>
        </select></label>
      </div>
      <Card title={shown.length === 1 ? "1 event" : `${shown.length} events`} wide><Events events={shown} /></Card>
      {!end && live.length > 0 && <button type="button" class="quiet" onClick={() => void more()}>Older events</button>}
    </>
  );
}
