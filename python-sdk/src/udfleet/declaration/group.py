"""What a stream of groups is declared as: made by tables, and not by users. Runs on a bare Python."""

from __future__ import annotations

from .._state.keyed_table import GroupTableFunction
from .wrapper import UserDefinedFunctionWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .._state.group_spec import GroupSpec
    from ..types import DataType


class GroupWrapper(UserDefinedFunctionWrapper[..., "Any"]):
    """Aggregates of groups, as a function with keyed state."""

    kind = "table"
    base = (GroupTableFunction,)
    keyed = True

    def __init__(self, spec: GroupSpec, input_types: Sequence[DataType], result_type: DataType, name: str) -> None:
        super().__init__(GroupTableFunction(spec), list(input_types), True, name)
        self.result_type = result_type

    @property
    def factory(self) -> str:
        """What made this."""
        return "group_by"

    def _run(self, /, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.name!r} keeps state: it runs in streams of a fleet, and not by itself")
