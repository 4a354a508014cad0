// Everything by keyboard: a palette, keys that go to pages, and a list of them.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { PAGES } from "./app";
import { type ExecutorRow, type FunctionRow, ask } from "./api";
import { functionLink } from "./parts/small";
import { go } from "./router";
import { nextTheme } from "./theme";

export const dialog = signal<"" | "palette" | "help">("");

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

export function useKeys() {
  useEffect(() => {
    let going = false;
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        dialog.value = "palette";
        return;
      }
      if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey || dialog.value) return;
      if (going) {
        going = false;
        const page = PAGES.find(([, , key]) => key === event.key);
        if (page) go(page[0]);
        return;
      }
      if (event.key === "/") event.preventDefault();
      if (event.key === "/") dialog.value = "palette";
      else if (event.key === "?") dialog.value = "help";
      else if (event.key === "t") nextTheme();
      else if (event.key === "g") going = true;
      else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

/** Moves between rows: their first links. */
function step(by: number) {
  const links = [...document.querySelectorAll<HTMLElement>("tbody tr")].map((row) => row.querySelector("a")).filter((link) => link !== null);
  const at = links.findIndex((link) => link === document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

function useDialog(name: string) {
  const element = useRef<HTMLDialogElement>(null);
  const open = dialog.value === name;
  useEffect(() => {
    if (open && !element.current?.open) element.current?.showModal();
    if (!open && element.current?.open) element.current.close();
  }, [open]);
  return { element, open, closed: () => { if (dialog.value === name) dialog.value = ""; } };
}

export function Help() {
  const { element, closed } = useDialog("help");
  const keys: [string, string][] = [
    ["/ or Ctrl K", "Search pages, functions, executors"],
    ...PAGES.map(([, name, key]): [string, string] => [`g ${key}`, name]),
    ["j k Enter", "Next and previous row, open it"],
    ["t", "Light or dark"],
    ["?", "This list"],
  ];
  return (
    <dialog ref={element} onClose={closed} aria-labelledby="keys">
      <h2 id="keys">Keys</h2>
      <dl class="keys-list">{keys.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
      <form method="dialog"><button type="submit">Close</button></form>
    </dialog>
  );
}

/** Preact's types know a combobox only with a list that the browser draws. */
const COMBOBOX = { type: "search", role: "combobox" } as object;

interface Place {
  to: string;
  name: string;
  kind: string;
}

export function Palette() {
  const { element, open, closed } = useDialog("palette");
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [places, setPlaces] = useState<Place[]>([]);
  useEffect(() => {
    if (!open) return;
    setText("");
    setAt(0);
    const pages: Place[] = PAGES.map(([to, name]) => ({ to, name, kind: "page" }));
    setPlaces(pages);
    Promise.all([ask<FunctionRow[]>("/topics/functions"), ask<ExecutorRow[]>("/topics/executors")]).then(
      ([functions, executors]) =>
        setPlaces([
          ...pages,
          ...functions.map((one) => ({ to: functionLink(one.name), name: one.name, kind: "function" })),
          ...executors.map((one) => ({ to: `/executors/${encodeURIComponent(one.id)}`, name: one.id, kind: "executor" })),
        ]),
      () => undefined,
    );
  }, [open]);
  const found = places.filter((place) => place.name.toLowerCase().includes(text.toLowerCase())).slice(0, 12);
  const choose = (place: Place | undefined) => {
    if (!place) return;
    dialog.value = "";
    go(place.to);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt(Math.min(found.length - 1, Math.max(0, at + (event.key === "ArrowDown" ? 1 : -1))));
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(found[at]);
    }
  };
  return (
    <dialog ref={element} class="palette" onClose={closed} aria-label="Search">
      <input {...COMBOBOX} aria-expanded="true" aria-controls="found" aria-label="Search pages, functions and executors"
        aria-activedescendant={found[at] ? `found-${at}` : undefined} placeholder="Page, function or executor" value={text}
        onInput={(event) => { setText(event.currentTarget.value); setAt(0); }} onKeyDown={pressed} />
      <ul id="found" role="listbox" aria-label="Found">
        {found.map((place, index) => (
          <li key={place.kind + place.to} id={`found-${index}`} role="option" aria-selected={index === at} onClick={() => choose(place)}>
            {place.name} <small>{place.kind}</small>
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class="empty">Nothing is called that.</p>}
    </dialog>
  );
}
