// Compresses what the coordinator serves, once, and says how large it is.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
for (const name of readdirSync(dist, { recursive: true })) {
  if (!/\.(js|css|html|svg)$/.test(name)) continue;
  const small = gzipSync(readFileSync(join(dist, name)), { level: 9 });
  writeFileSync(join(dist, `${name}.gz`), small);
  console.log(`${name}: ${(small.length / 1024).toFixed(1)} KB compressed`);
}
