// What fails, and why.
import type { FunctionErrors } from "../api";
import { count, percent, rate } from "../format";
import { Card, Copy, functionLink } from "./small";
import { State } from "./state";

export function Failures({ all }: { all: FunctionErrors[] }) {
  return (
    <div class="grid one">
      {all.map((one) => (
        <Card key={one.function} title={one.function} wide more={<Copy what={{ CLI: `udfleet errors ${one.function}`, JSON: JSON.stringify(one) }} />}>
          <p class="row">
            <a href={functionLink(one.function)}>The function</a>
            <a href={`${functionLink(one.function)}?tab=Logs`}>What it printed</a>
            {one.errors > 0 && <span><b class="bad">{count(one.errors)}</b> batches failed ({percent(one.errors, one.calls)} of all), {rate(one.errors_per_second)} a second now</span>}
            {one.row_errors > 0 && <span><b>{count(one.row_errors)}</b> rows became null or were left out</span>}
          </p>
          {one.load_failures.map((failure) => (
            <div key={failure.executor} class="failure">
              <p><State of="FAILED" text={`can't be loaded on ${failure.executor}`} /> <code>{failure.code}</code></p>
              <pre tabIndex={0}>{failure.message}</pre>
              {failure.hint && <p class="muted">{failure.hint}</p>}
            </div>
          ))}
        </Card>
      ))}
    </div>
  );
}
