// The page stays small: what a browser loads, compressed.
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { test } from "node:test";

const assets = new URL("../dist/assets/", import.meta.url);
const size = (end) =>
  readdirSync(assets).filter((name) => name.endsWith(`${end}.gz`)).reduce((sum, name) => sum + statSync(new URL(name, assets)).size, 0) / 1024;

test("scripts are at most 70 KB and styles at most 10 KB, compressed", () => {
  const [script, style] = [size(".js"), size(".css")];
  assert.ok(script > 1 && script <= 70, `${script} KB of scripts`);
  assert.ok(style > 0.5 && style <= 10, `${style} KB of styles`);
});
