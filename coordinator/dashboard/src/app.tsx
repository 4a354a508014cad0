// The frame: who looks, where we are, how the fleet is, and how old that is.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Overview as OverviewData } from "./api";
import { duration } from "./format";
import { age, broken, second, stale, topic, watch } from "./live";
import { Activities } from "./pages/activities";
import { Environments } from "./pages/environments";
import { Errors } from "./pages/errors";
import { Executor } from "./pages/executor";
import { Executors } from "./pages/executors";
import { FunctionPage } from "./pages/function";
import { Functions } from "./pages/functions";
import { Overview } from "./pages/overview";
import { Why } from "./pages/why";
import { Help, Palette, dialog, useKeys } from "./keys";
import { State } from "./parts/state";
import { path } from "./router";
import { logIn, logOut, session } from "./session";
import { dark, nextTheme } from "./theme";

export const PAGES: [string, string, string][] = [
  ["/", "Overview", "o"],
  ["/functions", "Functions", "f"],
  ["/executors", "Executors", "e"],
  ["/environments", "Environments", "n"],
  ["/errors", "Errors", "r"],
  ["/why", "Why pending", "w"],
  ["/events", "Events", "v"],
];

/** As it stands where it is no valid encoding: then there is nothing of that name. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What a path shows, and what it has to watch. */
function page(at: string): { title: string; topics: string[]; body: ComponentChildren } {
  const [, first = "", rest = ""] = at.split("/");
  const name = decoded(rest);
  if (first === "" ) return { title: "Overview", topics: [], body: <Overview /> };
  if (first === "functions" && name) return { title: name, topics: [`function:${name}`], body: <FunctionPage key={name} name={name} /> };
  if (first === "functions") return { title: "Functions", topics: ["functions"], body: <Functions /> };
  if (first === "executors" && name) return { title: name, topics: [`executor:${name}`], body: <Executor key={name} id={name} /> };
  if (first === "executors") return { title: "Executors", topics: ["executors"], body: <Executors /> };
  if (first === "environments") return { title: "Environments", topics: ["environments"], body: <Environments hash={name} /> };
  if (first === "errors") return { title: "Errors", topics: ["errors"], body: <Errors /> };
  if (first === "why") return { title: "Why pending", topics: ["waiting"], body: <Why /> };
  if (first === "events") return { title: "Events", topics: ["activity"], body: <Activities /> };
  return { title: "Not found", topics: [], body: <p class="empty">There is no page {at}. <a href="/">Overview</a></p> };
}

export function App() {
  const who = session.value;
  if (who.state === "asking") return null;
  if (who.state === "out") return <Login reason={who.reason} />;
  if (who.state === "broken") return <main class="login"><h1>udfleet</h1><p role="alert">{who.reason} Trying again…</p></main>;
  return <Shell named={who.who.kind !== "anonymous"} />;
}

function Login({ reason }: { reason: string }) {
  const [failed, setFailed] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    const token = field.current?.value ?? "";
    if (field.current) field.current.value = "";
    setBusy(true);
    try {
      await logIn(token);
    } catch (error) {
      setFailed(error instanceof Error ? error.message : String(error));
      setBusy(false);
      field.current?.focus();
    }
  };
  useEffect(() => {
    document.title = "Log in · udfleet";
    field.current?.focus();
  }, []);
  return (
    <main class="login">
      <h1>udfleet</h1>
      <form onSubmit={submit}>
        <label for="token">Token</label>
        <input id="token" ref={field} type="password" autocomplete="off" required spellcheck={false} />
        <button type="submit" disabled={busy}>Log in</button>
        <p role="alert" class="bad">{failed || reason}</p>
        <p class="muted">The fleet's token, or one with the role observe: <code>udfleet token create NAME --role observe</code></p>
      </form>
    </main>
  );
}

function Shell({ named }: { named: boolean }) {
  const shown = page(path.value);
  const overview = topic<OverviewData>("overview").value;
  useKeys();
  useEffect(() => {
    watch(shown.topics);
    document.title = `${shown.title} · udfleet`;
  }, [path.value]);
  const at = `/${path.value.split("/")[1] ?? ""}`;
  const old = age.value;
  return (
    <div class={stale.value ? "shell stale" : "shell"}>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the page</a>
      <nav aria-label="Pages">
        <a class="brand" href="/">udfleet</a>
        <ul>
          {PAGES.map(([to, name]) => (
            <li key={to}>
              <a href={to} aria-current={at === to ? "page" : undefined}>
                {name}
                {to === "/why" && (overview?.notices.length ?? 0) > 0 && <span class="badge" title="things that need somebody">{overview?.waiting}</span>}
              </a>
            </li>
          ))}
        </ul>
        <div class="tools">
          <button type="button" onClick={() => (dialog.value = "palette")} aria-keyshortcuts="/">Search <kbd>/</kbd></button>
          <button type="button" onClick={nextTheme} aria-keyshortcuts="t">{dark.value ? "Light" : "Dark"} theme <kbd>t</kbd></button>
          {named && <button type="button" onClick={() => void logOut()}>Log out</button>}
        </div>
      </nav>
      <div class="body">
        <div class="top">
          {overview ? <p class="health"><State of={overview.health.level} text={overview.health.text} /></p> : <p class="health muted">…</p>}
          <p class="asof" title={second.value ? new Date(second.value.unix_ms).toLocaleString("en-GB") : ""}>
            {old === null ? "" : old <= 2 ? "live" : `as of ${duration(old)} ago`}
          </p>
        </div>
        {stale.value && (
          <p class="banner" role="alert">What you see is {duration(old)} old. {broken.value || "The coordinator does not answer."} Trying again…</p>
        )}
        {overview?.notices.filter((notice) => notice.severity === "error").slice(0, 1).map((notice) => (
          <p class="banner" key={notice.subject}><strong>{notice.reason}</strong> {notice.subject} {notice.evidence} {notice.remedy && <em>{notice.remedy}</em>} <a href="/why">Why?</a></p>
        ))}
        <main id="main" tabIndex={-1}>{shown.body}</main>
      </div>
      <Palette />
      <Help />
    </div>
  );
}
