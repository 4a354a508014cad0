"""Values that do not fit their declared types, before column and call are known."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInputError


class MisfitError(Exception):
    """What a value is not, and where it is within the value of its row.

    :ivar complaint: for people, with the value and the type.
    :ivar row: the row of the column, from 0; None where all of the column does not fit.
    :ivar value: the value of the row.
    """

    def __init__(self, complaint: str, row: int | None = None, value: Any = None, hint: str | None = None) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self.row = row
        self.value = value
        self.hint = hint

    def as_input_error(self, what: str, function: str | None = None) -> InvalidInputError:
        """The error that users see; `what` names the argument or column."""
        return InvalidInputError(
            f"{what}: {self.complaint}",
            function=function,
            row=self.row,
            value=None if self.row is None else shown(self.value),
            hint=self.hint,
        )


def shown(value: Any) -> str:
    """A bounded repr, whatever the value's own does."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= 200 else text[:197] + "..."
