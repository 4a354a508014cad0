"""What clients of a keyed stream have seen, and whether it is right: each row applied once, in order per key, and its result
released once.

The function appends each row's number to its key's list, and gives the row, how long the list is then, and the row before.
So results are a chain per key, which shows each row that was lost, applied twice or released twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class History:
    """Events of one stream, of all of its clients, in the order in which they happened."""

    released: list[dict[str, Any]] = field(default_factory=list)
    """Results of bundles that are known to be committed."""
    doubtful: list[range] = field(default_factory=list)
    """Rows of bundles whose client or coordinator ended while they were committed: their results came at most once."""
    held: tuple[range, list[dict[str, Any]]] | None = None
    """The bundle that was delivered last, until its fate is known."""
    asked: bool = False
    """Whether its commit was asked for."""

    def opened(self, position: int) -> None:
        """A client has opened the stream: what was held is committed where the position is behind it."""
        held, asked, self.held = self.held, self.asked, None
        if held is None:
            return
        rows, results = held
        if asked and position >= rows.stop:
            self.released += results
        elif asked:
            self.doubtful.append(rows)
        else:
            assert position <= rows.start, f"rows {rows} are applied, and nobody has asked for their commit"

    def delivered(self, first_row: int, count: int, results: list[dict[str, Any]]) -> None:
        """A bundle has come."""
        self.held, self.asked = (range(first_row, first_row + count), results), False

    def committing(self) -> None:
        """The commit of that bundle is asked for."""
        self.asked = True

    def committed(self) -> None:
        """The commit was answered."""
        assert self.held is not None
        self.released += self.held[1]
        self.held = None

    def lost_client(self, rows: range) -> None:
        """A client died that may have been told of the commit of these rows, and did not hand them on."""
        self.held = None
        self.doubtful.append(rows)

    def check(self, sent: Mapping[str, Sequence[int]], applied: Mapping[str, Sequence[int]]) -> None:
        """`sent`: the rows of each key, in order; `applied`: what the state of each key holds in the end."""
        assert {key: list(rows) for key, rows in applied.items()} == {key: list(rows) for key, rows in sent.items()}
        place = {row: (key, index) for key, rows in applied.items() for index, row in enumerate(rows)}
        seen: set[int] = set()
        for result in self.released:
            row = result["row"]
            assert row not in seen, f"the result of row {row} was released twice"
            seen.add(row)
            key, index = place[row]
            before = applied[key][index - 1] if index else None
            expected = (key, index + 1, before)
            assert (result["key"], result["length"], result["before"]) == expected, f"row {row}: {result}"
        _check_order(self.released)
        missing = set(place) - seen
        doubtful = {row for rows in self.doubtful for row in rows}
        assert missing <= doubtful, f"rows {sorted(missing - doubtful)} were applied, and their results never came"


def _check_order(released: Iterable[dict[str, Any]]) -> None:
    """Results come in the order of their rows."""
    rows = [result["row"] for result in released]
    assert rows == sorted(rows), "results came in another order than their rows"
