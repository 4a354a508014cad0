// One stream of server-sent events for the page that is open: topics arrive whole, as they change.
import { batch, computed, effect, signal, type Signal } from "@preact/signals";
import { type Second, ask, ApiError } from "./api";
import { session } from "./session";

const topics = new Map<string, Signal<unknown>>();
const wanted = signal<string[] | null>(null);
const visible = signal(!document.hidden);
/** The last second that the coordinator has told of, and when that was here. */
export const second = signal<(Second & { here: number }) | null>(null);
export const now = signal(Date.now());
/** Age of what is shown, in seconds; null before anything is. */
export const age = computed(() => (second.value ? Math.max(0, Math.round((now.value - second.value.here) / 1000)) : null));
export const stale = computed(() => (age.value ?? 0) > 5);
/** Why there is no stream. */
export const broken = signal("");

/** What a topic said last. `undefined`: nothing yet. `null`: it is not there. */
export function topic<T>(name: string): Signal<T | null | undefined> {
  let held = topics.get(name);
  if (!held) {
    held = signal<unknown>(undefined);
    topics.set(name, held);
  }
  return held as Signal<T | null | undefined>;
}

/** Says what the page that is open shows. */
export function watch(names: string[]): void {
  const next = ["overview", ...names.filter((name) => name !== "overview")];
  if (next.join() !== wanted.value?.join()) wanted.value = next;
}

setInterval(() => (now.value = Date.now()), 1000);
document.addEventListener("visibilitychange", () => (visible.value = !document.hidden));

effect(() => {
  if (session.value.state !== "in" || !visible.value) return;
  const names = wanted.value;
  if (!names) return;
  let source: EventSource | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;
  const open = () => {
    source = new EventSource(`/api/v1/events?topics=${names.map(encodeURIComponent).join(",")}`);
    // What came within one second is shown at once.
    let came: [string, string][] = [];
    for (const name of names) source.addEventListener(name, (event) => came.push([name, (event as MessageEvent).data]));
    source.addEventListener("tick", (event) => {
      const parts = came;
      came = [];
      batch(() => {
        for (const [name, text] of parts) topic(name).value = JSON.parse(text);
        second.value = { ...(JSON.parse((event as MessageEvent).data) as Second), here: Date.now() };
        now.value = Date.now();
        broken.value = "";
      });
    });
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return;
      source.close();
      // The stream does not say why it was refused.
      ask(`/topics/${encodeURIComponent(names.at(-1) ?? "overview")}`).catch((error: unknown) => {
        if (error instanceof ApiError && error.status === 401) session.value = { state: "out", reason: "The session has ended." };
        else if (error instanceof ApiError && error.status === 400 && names.length > 1) topic(names.at(-1) ?? "").value = null;
        else broken.value = error instanceof Error ? error.message : String(error);
      });
      retry = setTimeout(open, 2000);
    };
  };
  open();
  return () => {
    clearTimeout(retry);
    source?.close();
  };
});
