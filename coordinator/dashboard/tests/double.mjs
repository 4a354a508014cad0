// A coordinator's HTTP port, as the page sees it, with the API of a large fleet: 500 functions on 100 executors, which no
// machine of ours runs. Prints the address that it serves at.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join } from "node:path";

const DIST = join(import.meta.dirname, "..", "dist");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const FUNCTIONS = 500;
const EXECUTORS = 100;

let tick = 0;
const now = () => Date.now();
/** The same for the same numbers, from 0 to 1. */
const noise = (...seeds) => {
  const value = Math.sin(seeds.reduce((sum, seed, index) => sum + seed * (index + 1) * 12.9898, 0)) * 43758.5453;
  return value - Math.floor(value);
};
const spark = (seed, most) => Array.from({ length: 30 }, (_, at) => Math.round(most * (0.5 + noise(seed, at + Math.floor(tick / 10)) / 2)));
const rates = (seed, most) => ({ rows: most * (0.7 + noise(seed, tick) * 0.3), calls: most / 1000, errors: seed % 37 === 0 ? 1.5 : 0, busy: noise(seed, tick) * 3, spark: spark(seed, most) });
const split = (seed) => ({ queue: noise(seed, 1), transfer: noise(seed, 2) / 4, convert: noise(seed, 3) / 2, run: 1 + noise(seed, 4) });
const latency = (seed) => ({ p50: 0.002 + noise(seed, 5) / 100, p95: 0.02 + noise(seed, 6) / 10, p99: 0.1 + noise(seed, 7) });
const STATES = ["READY", "READY", "READY", "READY", "READY", "READY", "READY", "BUILDING", "LOADING", "FAILED"];
const stateOf = (index) => (index % 41 === 0 ? STATES[(index / 41) % 10 | 0] ?? "READY" : "READY");
const nameOf = (index) => `${["score", "parse", "embed", "clean", "geo", "price"][index % 6]}_${["orders", "clicks", "users", "trips"][index % 4]}_${index}`;

const functionRow = (index) => ({
  function: `${nameOf(index)}@${1 + (index % 5)}`, name: nameOf(index), version: 1 + (index % 5), state: stateOf(index),
  reason: stateOf(index) === "READY" ? "" : "its environment is being built on executor-7", kind: "scalar", func_type: ["general", "pandas", "arrow"][index % 3],
  environment: String(index % 40).padStart(64, "a"), ready_on: 12, placed_on: 12, rates: rates(index, index % 9 === 0 ? 0 : 100_000 / (index + 1)), latency: latency(index), split: split(index),
  totals: { calls: 100_000 - index, rows: 9e7 / (index + 1) | 0, errors: index % 37 === 0 ? 120 : 0, row_errors: 0, in_flight: index % 7, peak_memory_bytes: 2e8 },
});
const executorRow = (index) => ({
  id: `executor-${index + 1}`, state: index === 17 ? "lost" : index === 42 ? "draining" : "ready", address: `10.0.${index / 10 | 0}.${index % 10}:40123`, version: "0.1.0",
  pythons: ["3.9.18", "3.11.7", "3.13.0"], cores: 32, memory_bytes: 128 * 2 ** 30, rss_bytes: (20 + noise(index, tick) * 60) * 2 ** 30, interpreters: 28, max_interpreters: 32,
  in_flight: index % 13, reported_unix_ms: now() - (index === 17 ? 60_000 : 400), functions: { READY: 60, FAILED: index === 17 ? 2 : 0 }, labels: { zone: "abc"[index % 3] }, rates: rates(index, 20_000),
});
const all = (count, of) => Array.from({ length: count }, (_, index) => of(index));
const activity = () => all(100, (index) => ({ id: 1000 - index, unix_ms: now() - index * 7000, severity: ["info", "info", "warning", "error"][index % 4], event: "executor_lost", kind: "executor", subject: `executor-${index + 1}`, message: `executor-${index + 1} has been silent for too long: its work moves` }));
const waiting = () => all(40, (index) => ({ reason: ["BUILDING", "LOST", "LOAD_FAILED"][index % 3], severity: ["info", "warning", "error"][index % 3], kind: index % 3 === 1 ? "executor" : "function", subject: index % 3 === 1 ? `executor-${index}` : `${nameOf(index)}@1`, evidence: "ModuleNotFoundError: No module named 'a_package_that_nobody_has'", remedy: "add it to the environment's requirements", since_unix_ms: now() - 41_000 }))
  .sort((a, b) => "info warning error".indexOf(b.severity) - "info warning error".indexOf(a.severity));
const functionErrors = () => [37, 74, 111].map((index) => ({ function: `${nameOf(index)}@1`, errors: 120, errors_per_second: 1.5, row_errors: 3, calls: 5000, load_failures: [], groups: [{ count: 120, first_unix_ms: now() - 4e6, last_unix_ms: now() - 900, exception: "ValueError", traceback: 'Traceback (most recent call last):\n  File "price.py", line 12, in price\n    return table[key]\nValueError: no price', exit: null, executors: { "executor-3": 80, "executor-9": 40 }, example: { code: "USER_CODE", message: "ValueError: no price", hint: "", function: "f@1", row: 7, executor: "executor-3" } }] }));

const overview = () => {
  const rows = all(FUNCTIONS, functionRow);
  const top = (by) => [...rows].sort((a, b) => by(b) - by(a)).slice(0, 5).map((row) => ({ function: row.function, rates: row.rates, latency: row.latency, split: row.split, errors: row.totals.errors }));
  return {
    version: "0.1.0", started_unix_ms: now() - 4e7, health: { level: "bad", text: "13 things need attention: ModuleNotFoundError: No module named 'a_package_that_nobody_has'" },
    coordinators: all(3, (index) => ({ id: `c${index}`.repeat(16), address: `10.1.0.${index}:8815`, http_address: `10.1.0.${index}:8816`, leads: index === 1, here: index === 0 })),
    rates: rates(1, 2_400_000), latency: latency(1), split: { queue: 40, transfer: 30, convert: 200, run: 900 }, in_flight: 1412, streams_open: 812, interpreters: 2800, max_interpreters: 3200, memory_bytes: 5e12,
    executors: { ready: 98, lost: 1, draining: 1 }, functions: { READY: 488, BUILDING: 4, FAILED: 8 }, top: top((row) => row.rates.busy), failing: top((row) => row.rates.errors),
    slots: all(EXECUTORS, executorRow).map((row) => ({ executor: row.id, state: row.state, interpreters: 28, max_interpreters: 32, in_flight: row.in_flight, busy: row.rates.busy * 9 })),
    notices: waiting().filter((one) => one.severity !== "info").slice(0, 5), waiting: 40, activity: activity().slice(0, 20),
  };
};
const environment = (index) => ({ hash: String(index).padStart(64, "a"), python: "3.11", requirements: ["numpy==2.3.1", "pandas==3.0.0", "scikit-learn==1.8.0", "haversine"], functions: all(12, (one) => `${nameOf(index + one * 40)}@1`), assigned: { "executor-1": 4, "executor-2": 4 }, built_on: ["executor-1"], state: index === 3 ? "building" : "built", reason: "" });

function topic(name) {
  const [kind, rest = ""] = name.split(/:(.*)/s);
  if (kind === "overview") return overview();
  if (kind === "functions") return all(FUNCTIONS, functionRow);
  if (kind === "executors") return all(EXECUTORS, executorRow);
  if (kind === "environments") return all(40, environment);
  if (kind === "waiting") return waiting();
  if (kind === "activity") return activity();
  if (kind === "errors") return functionErrors();
  const index = Number(rest.split("@")[0].split(/[-_]/).at(-1));
  if (kind === "executor") return { executor: executorRow(index - 1), functions: all(60, (one) => ({ executor: rest, function: `${nameOf(one)}@1`, state: "READY", interpreters: 2, error: null, waiting: "" })), attached_to: ["10.1.0.1:8815"], environments: {}, activity: activity().slice(0, 20) };
  if (kind === "function") return { name: nameOf(index), versions: [functionRow(index)], executors: all(12, (one) => ({ executor: `executor-${one + 1}`, function: functionRow(index).function, state: "READY", interpreters: 2, error: null, waiting: "" })), progress: null, batch_rows: all(9, (one) => ({ from: 2 ** one, to: 2 ** (one + 1) - 1, batches: Math.round(5000 * noise(index, one)) })), advice: [{ advice: "SMALL_BATCHES", measured: "92 % of 5000 batches have fewer than 32 rows; 11.2 on average", action: "raise the caller's batch or chunk size: each batch has a fixed cost" }], errors: [], activity: activity().slice(0, 20) };
  return null;
}

const FIELDS = ["rows", "calls", "errors", "row_errors", "bytes", "queue", "transfer", "convert", "run", "cpu", "in_flight", "p50", "p95", "p99", "interpreters", "memory", "executors"];
const history = (series) => ({ series, window: "5m", step_seconds: 1, end_unix_ms: now(), fields: FIELDS.map((name, field) => ({ name, values: Array.from({ length: 300 }, (_, at) => noise(field, at + tick) * (name === "rows" ? 2e6 : 1)) })) });

const profile = () => ({
  function: "f@1", enabled: true, executors: ["executor-1", "executor-2"], period_seconds: 0.005, left_out: 3,
  stacks: all(200, (index) => ({ frames: ["score.py:score:12", `score.py:part_${index % 4}:30`, `table.py:look_up:${index % 9}`, `codec.py:decode_${index}:7`], samples: 1 + Math.round(90 * noise(index, 3)) })),
});

function json(answer, value) {
  answer.writeHead(200, { "content-type": "application/json" });
  answer.end(JSON.stringify(value));
}

const server = createServer((request, answer) => {
  const url = new URL(request.url, "http://x");
  const path = decodeURIComponent(url.pathname);
  if (path === "/api/v1/whoami") return json(answer, { name: "", kind: "anonymous", observes: true });
  if (path.startsWith("/api/v1/profile/")) return json(answer, profile());
  if (path.startsWith("/api/v1/logs/") && /_36@/.test(path)) {
    answer.writeHead(503, { "content-type": "application/json" });
    return answer.end(JSON.stringify({ error: { code: "UNREACHABLE", message: "no executor tells its lines" } }));
  }
  // Longer than the page waits between two questions.
  if (path.startsWith("/api/v1/logs/") && /_24@/.test(path)) {
    return setTimeout(() => json(answer, [{ function: "f@1", executor: "executor-1", stream: "stdout", unix_ms: now(), text: "late line" }]), 5000);
  }
  if (path.startsWith("/api/v1/logs/")) return json(answer, all(300, (index) => ({ function: "f@1", executor: `executor-${index % 3}`, stream: index % 5 ? "stdout" : "stderr", unix_ms: now() - (300 - index) * 100, text: `line ${index - (index % 2)}` })));
  if (path === "/api/v1/history") return json(answer, history(url.searchParams.get("series")));
  if (path.startsWith("/api/v1/topics/")) return json(answer, topic(path.slice("/api/v1/topics/".length)));
  if (path === "/api/v1/events") {
    const names = url.searchParams.get("topics").split(",");
    answer.writeHead(200, { "content-type": "text/event-stream" });
    const send = () => {
      for (const name of names) answer.write(`event: ${name}\ndata: ${JSON.stringify(topic(name))}\n\n`);
      answer.write(`event: tick\nid: 1-${tick}\ndata: ${JSON.stringify({ tick, unix_ms: now() })}\n\n`);
    };
    send();
    const turns = setInterval(send, 1000);
    return request.on("close", () => clearInterval(turns));
  }
  if (path.startsWith("/api/")) return json(answer, []);
  const file = extname(path) ? path : "/index.html";
  try {
    const content = readFileSync(join(DIST, file));
    answer.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": "default-src 'self'" });
    return answer.end(content);
  } catch {
    answer.writeHead(404);
    return answer.end();
  }
});
setInterval(() => (tick += 1), 1000);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
