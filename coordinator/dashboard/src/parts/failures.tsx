// What fails, and why.
import type { FunctionErrors } from "../api";
import { bytes, count, percent, rate } from "../format";
import { Capsules } from "./capsules";
import { Card, Copy, Since, functionLink } from "./small";
import { State } from "./state";

type Group = FunctionErrors["groups"][number];

export function Failures({ all }: { all: FunctionErrors[] }) {
  return (
    <div class="grid one">
      {all.map((one) => (
        <Card key={one.function} title={one.function} wide more={<Copy what={{ CLI: `udfleet errors ${one.function}`, JSON: JSON.stringify(one), Markdown: markdown(one) }} />}>
          <p class="row">
            {one.errors > 0 && <span><b class="bad">{count(one.errors)}</b> of {count(one.calls)} batches failed ({percent(one.errors, one.calls)}), {rate(one.errors_per_second)} a second now</span>}
            {one.row_errors > 0 && <span><b>{count(one.row_errors)}</b> rows became null or were left out</span>}
            <a href={functionLink(one.function)}>The function</a>
            <a href={`${functionLink(one.function)}?tab=Logs`}>What it printed</a>
          </p>
          {one.load_failures.map((failure) => (
            <div key={failure.executor} class="failure">
              <p><State of="FAILED" text={`can't be loaded on ${failure.executor}`} /> <code>{failure.code}</code></p>
              <pre tabIndex={0}>{failure.message}</pre>
              {failure.hint && <p class="muted">{failure.hint}</p>}
            </div>
          ))}
          {one.groups.map((group, index) => <Kind key={group.example.code + group.exception + group.first_unix_ms} group={group} open={index === 0} />)}
          {one.errors > 0 && <Capsules name={one.function} />}
        </Card>
      ))}
    </div>
  );
}

function Kind({ group, open }: { group: Group; open: boolean }) {
  const { example, exit } = group;
  const executors = Object.entries(group.executors);
  return (
    <details class="failure" open={open}>
      <summary>
        <b>{group.exception || example.code}</b> <span class="said">{said(group)}</span>
        <small>{count(group.count)} times, last <Since unixMs={group.last_unix_ms} />, first <Since unixMs={group.first_unix_ms} /></small>
      </summary>
      {group.traceback ? <pre tabIndex={0}>{group.traceback}</pre> : <pre tabIndex={0}>{example.message}</pre>}
      {exit && (
        <p>The interpreter ended {exit.signal > 0 ? `by signal ${exit.signal}` : `with status ${exit.status}`}, at {bytes(exit.peak_rss_bytes)} of memory{exit.memory_limit_bytes > 0 && ` of ${bytes(exit.memory_limit_bytes)}`}.</p>
      )}
      {exit?.last_stderr && <pre tabIndex={0}>{exit.last_stderr}</pre>}
      <p class="row muted">
        <code>{example.code}</code>
        {example.row != null && <span>row {example.row} of its batch</span>}
        {executors.length > 0 && <span>on {executors.map(([id, times]) => `${id} (${count(times)})`).join(", ")}</span>}
        {example.hint && <span>{example.hint}</span>}
      </p>
    </details>
  );
}

/** What it says, without its type once more. */
function said({ example, exception }: Group): string {
  const line = example.message.split("\n", 1)[0] ?? "";
  return exception && line.startsWith(`${exception}: `) ? line.slice(exception.length + 2) : line;
}

/** For a bug report. */
function markdown(one: FunctionErrors): string {
  const kinds = one.groups.map((group) => `\n${group.exception || group.example.code}, ${group.count} times:\n\n\`\`\`\n${group.traceback || group.example.message}\n\`\`\`\n`);
  return `**${one.function}**: ${one.errors} of ${one.calls} batches failed.\n${kinds.join("")}`;
}
