// What the coordinator tells. The types are made of its own, by `npm run types`.
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Overview = Schemas["Overview"];
export type FunctionRow = Schemas["FunctionRow"];
export type FunctionDetail = Schemas["FunctionDetail"];
export type FunctionView = Schemas["Function"];
export type ExecutorRow = Schemas["ExecutorRow"];
export type ExecutorDetail = Schemas["ExecutorDetail"];
export type EnvironmentRow = Schemas["EnvironmentRow"];
export type FunctionErrors = Schemas["FunctionErrors"];
export type Waiting = Schemas["Waiting"];
export type Activity = Schemas["Activity"];
export type History = Schemas["History"];
export type CapsuleRow = Schemas["CapsuleRow"];
export type Profile = Schemas["Profile"];
export type LogRow = Schemas["LogRow"];
export type TimeSplit = Schemas["TimeSplit"];
export type Rates = Schemas["Rates"];
export type WhoAmI = Schemas["WhoAmI"];
export type Second = Schemas["Second"];

/** Why an answer is none. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint = "",
  ) {
    super(message);
  }
}

export async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`/api/v1${path}`, { credentials: "same-origin", ...init });
  } catch {
    throw new ApiError(0, "The coordinator does not answer.");
  }
  if (answer.ok) return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
  const body = await answer.json().catch(() => null);
  throw new ApiError(answer.status, body?.error?.message ?? answer.statusText, body?.error?.hint ?? "");
}
