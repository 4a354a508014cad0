// Where we are is in the URL, so that every view can be linked to.
import { computed, signal } from "@preact/signals";

const location_ = signal(new URL(window.location.href));

export const path = computed(() => location_.value.pathname);
export const query = computed(() => location_.value.searchParams);

export function go(to: string, replace = false): void {
  const before = location_.value.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", to);
  location_.value = new URL(window.location.href);
  if (location_.value.pathname !== before) window.scrollTo(0, 0);
}

/** Changes one part of the query and leaves the rest; null removes it. */
export function setQuery(name: string, value: string | null): void {
  const next = new URLSearchParams(query.value);
  if (value === null || value === "") next.delete(name);
  else next.set(name, value);
  const text = next.toString();
  go(path.value + (text ? `?${text}` : ""), true);
}

window.addEventListener("popstate", () => {
  location_.value = new URL(window.location.href);
});

// Links are plain links: only a plain click on one of ours stays in the page.
document.addEventListener("click", (event) => {
  const link = (event.target as Element | null)?.closest?.("a");
  if (!link || link.origin !== window.location.origin || link.target || link.hasAttribute("download")) return;
  if (link.pathname.startsWith("/api/") || link.pathname === "/metrics") return;
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
