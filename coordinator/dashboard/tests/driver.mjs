// Drives a browser for tests in another language: a line of JSON in is a command, a line of JSON out its result.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [origin, program] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: "reduce" });
const page = await context.newPage();

// What a person would find in the browser's console. Requests that fail are told apart: tests make some fail.
let problems = [];
let failed = [];
page.on("console", (message) => {
  if (message.type() !== "error" && message.type() !== "warning") return;
  (/Failed to load resource/.test(message.text()) ? failed : problems).push(message.text());
});
page.on("pageerror", (error) => problems.push(String(error)));
page.on("requestfailed", (request) => failed.push(`${request.method()} ${request.url()} ${request.failure()?.errorText}`));

const commands = {
  async open({ path }) {
    await page.goto(origin + path, { waitUntil: "load" });
  },
  /** As a person goes: by a link that is on the page. */
  async click({ selector }) {
    await page.locator(selector).first().click();
  },
  async fill({ selector, text }) {
    await page.locator(selector).first().fill(text);
  },
  async press({ keys }) {
    for (const key of keys) await page.keyboard.press(key);
  },
  async view({ width, height = 900, theme }) {
    await page.setViewportSize({ width, height });
    if (theme) await page.emulateMedia({ colorScheme: theme });
  },
  async wait({ text, selector = "body", seconds = 60 }) {
    await page.waitForFunction(
      ([where, wanted]) => [...document.querySelectorAll(where)].some((found) => found.innerText.includes(wanted)),
      [selector, text],
      { timeout: seconds * 1000 },
    );
  },
  async text({ selector = "body" }) {
    return (await page.locator(selector).allInnerTexts()).join("\n");
  },
  async html() {
    return await page.content();
  },
  async where() {
    return page.url();
  },
  async cookies() {
    return await context.cookies();
  },
  async storage() {
    return await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie]));
  },
  async overflow() {
    return await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  },
  async axe() {
    // The policy of the page forbids scripts of others; tests put theirs in beside it.
    if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
    return found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 5).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary?.replaceAll("\n", " ")}`).join(" | ")}`);
  },
  async screenshot({ file, full = true }) {
    await page.screenshot({ path: file, fullPage: full });
  },
  /** What went wrong since this was last asked. */
  async problems() {
    const found = { problems, failed };
    problems = [];
    failed = [];
    return found;
  },
};

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  try {
    say({ result: (await commands[command](rest)) ?? null });
  } catch (error) {
    say({ error: String(error) });
  }
}
await browser.close();
