// What a part asks for by itself, again and again: what the stream of topics does not carry.
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api";
import { second } from "./live";

/** The last answer, and why there was no newer one. */
interface Asked<T> {
  value: T | null;
  failed: string;
}

/** Asks every so many seconds; one question at a time, so that an answer that takes longer is still waited for. */
export function useAsked<T>(path: string, every: number): Asked<T> {
  const [asked, setAsked] = useState<Asked<T> & { path: string }>({ path, value: null, failed: "" });
  const asking = useRef("");
  const shown = useRef<string | null>(path);
  shown.current = path;
  useEffect(() => () => { shown.current = null; }, []);
  const turn = Math.floor((second.value?.tick ?? 0) / every);
  useEffect(() => {
    if (asking.current === path) return;
    asking.current = path;
    const set = (value: (former: T | null) => T | null, failed: string) => {
      if (asking.current === path) asking.current = "";
      if (shown.current === path) setAsked((former) => ({ path, value: value(former.path === path ? former.value : null), failed }));
    };
    ask<T>(path).then(
      (came) => set(() => came, ""),
      (error: unknown) => set((former) => former, error instanceof Error ? error.message : String(error)),
    );
  }, [turn, path]);
  return asked.path === path ? asked : { value: null, failed: "" };
}
