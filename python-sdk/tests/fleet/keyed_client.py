"""A client of a keyed stream that another process kills at a point, and what it has written about its stream until then.

Run as a program, it takes the fleet's address, function, stream, number of rows, the folder of points, a file for its
history, and the point that it arms itself after two commits, with `kill` or `stop`. The points are `client-sent`,
`client-held`, `client-confirmed` and `client-committed`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from keyed_chain import batch
from keyed_history import History

import udfleet

POINTS = {
    "client-sent": "a bundle is sent, and its results have not come",
    "client-held": "results are held, and their commit is not asked for",
    "client-confirmed": "the commit is asked for, and not answered",
    "client-committed": "the commit is answered, and the results are not handed on",
}


def reach(folder: Path, point: str) -> None:
    """Ends or stops here where the point is armed."""
    armed = folder / point
    if armed.exists():
        order = armed.read_text()
        armed.rename(folder / f"{point}.{os.getpid()}")
        os.kill(os.getpid(), signal.SIGKILL if order == "kill" else signal.SIGSTOP)


def main(
    address: str, function: str, stream: str, count: int, points: Path, history: Path, point: str, action: str
) -> None:
    with history.open("a") as out, udfleet.connect(address) as fleet:

        def note(**event: Any) -> None:
            out.write(json.dumps(event) + "\n")
            out.flush()

        table = fleet.from_batches([batch(range(count))])
        with table.key_by("key").process(f"{function}(row)").open_stream(stream, commit="manual") as opened:
            note(opened=opened.position)
            answer = opened._answer

            def answer_at_points(kind: str) -> Any:
                reach(points, "client-sent" if kind == "delivered" else "client-confirmed")
                return answer(kind)

            opened._answer = answer_at_points  # type: ignore[method-assign]
            for commits, bundle in enumerate(opened, 1):
                note(first=bundle.first_row, rows=bundle.rows, results=bundle.to_pylist())
                reach(points, "client-held")
                note(committing=True)
                bundle.commit()
                reach(points, "client-committed")
                note(committed=True)
                if commits == 2:
                    # The stream is under way, and has bundles left.
                    (points / point).write_text(action)


def replay(path: Path, history: History) -> None:
    """What the client has written, as events; the last line may be cut short."""
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if "opened" in event:
            history.opened(event["opened"])
        elif "results" in event:
            history.delivered(event["first"], event["rows"], event["results"])
        elif "committing" in event:
            history.committing()
        else:
            history.committed()


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), Path(sys.argv[5]), Path(sys.argv[6]), *sys.argv[7:9])
