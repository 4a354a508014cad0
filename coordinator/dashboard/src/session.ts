// Who looks. The token itself goes to the coordinator once, and is kept nowhere here.
import { signal } from "@preact/signals";
import { ApiError, type WhoAmI, ask } from "./api";

export type Session =
  | { state: "asking" }
  | { state: "out"; reason: string }
  | { state: "in"; who: WhoAmI }
  | { state: "broken"; reason: string };

export const session = signal<Session>({ state: "asking" });

export async function check(): Promise<void> {
  try {
    const who = await ask<WhoAmI>("/whoami");
    session.value = who.observes
      ? { state: "in", who }
      : { state: "out", reason: `The token ${who.name} may not observe the fleet. Log in with one that has the role observe.` };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) session.value = { state: "out", reason: "" };
    else {
      session.value = { state: "broken", reason: error instanceof Error ? error.message : String(error) };
      setTimeout(check, 2000);
    }
  }
}

export async function logIn(token: string): Promise<void> {
  await ask("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  await check();
}

export async function logOut(): Promise<void> {
  await ask("/session", { method: "DELETE" }).catch(() => undefined);
  session.value = { state: "out", reason: "You are logged out." };
}
