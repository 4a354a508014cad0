// The page's types are those of the coordinator's OpenAPI document.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import openapiTS, { astToString } from "openapi-typescript";

test("src/api/schema.d.ts is made of openapi.json", async () => {
  const made = astToString(await openapiTS(new URL("../openapi.json", import.meta.url)));
  const held = readFileSync(new URL("../src/api/schema.d.ts", import.meta.url), "utf8");
  assert.ok(held.includes(made.trim()), "they differ: npm run types");
});
