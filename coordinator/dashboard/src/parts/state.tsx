// A state is a word, a shape and a colour: never a colour alone.
import type { ComponentChildren } from "preact";

type Tone = "good" | "busy" | "warn" | "bad" | "idle";

const TONES: Record<string, Tone> = {
  READY: "good", ready: "good", built: "good", good: "good", info: "idle",
  BUILDING: "busy", LOADING: "busy", PENDING: "busy", building: "busy", waiting: "busy",
  draining: "warn", drained: "idle", stopped: "idle", unreachable: "warn", warning: "warn",
  lost: "bad", FAILED: "bad", failed: "bad", bad: "bad", error: "bad",
};

const SHAPES: Record<Tone, ComponentChildren> = {
  good: <circle cx="6" cy="6" r="4.5" />,
  busy: <path d="M6 1.5a4.5 4.5 0 1 1-4.5 4.5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />,
  warn: <path d="M6 1 11.5 11H.5Z" />,
  bad: <path d="m2 2 8 8m0-8-8 8" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" />,
  idle: <circle cx="6" cy="6" r="3.5" fill="none" stroke="currentColor" stroke-width="1.8" />,
};

export function State({ of, text }: { of: string; text?: string }) {
  const tone = TONES[of] ?? "idle";
  return (
    <span class={`state ${tone}`}>
      <svg viewBox="0 0 12 12" aria-hidden="true" fill="currentColor">{SHAPES[tone]}</svg>
      {text ?? of.toLowerCase()}
    </span>
  );
}
