"""`keyed_process`: declares a function with keyed state. Runs on a bare Python."""

from __future__ import annotations

from .._state.keyed_table import KeyedTableFunction
from .._state.process_function import KeyedProcessFunction
from .declared_types import result_types as declared_results
from .wrapper import UserDefinedFunctionWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .declared_types import TypesLike


class KeyedProcessWrapper(UserDefinedFunctionWrapper[..., "Any"]):
    """A declared function with keyed state."""

    kind = "table"
    base = (KeyedTableFunction,)
    keyed = True

    def __init__(
        self, func: Any, input_types: Any, result_types: Any, deterministic: bool | None, name: str | None
    ) -> None:
        if isinstance(func, type) and issubclass(func, KeyedProcessFunction):
            func = func()
        if not isinstance(func, KeyedProcessFunction):
            raise TypeError(f"keyed_process() takes a KeyedProcessFunction, not {func!r:.100}")
        if input_types is None or result_types is None:
            raise TypeError("keyed_process() needs input_types and result_types: annotations don't tell them")
        name = type(func).__name__ if name is None else name
        super().__init__(KeyedTableFunction(func), input_types, deterministic, name)
        self.result_type = declared_results(result_types, func, "keyed_process")

    @property
    def factory(self) -> str:
        """The name of the function that made this."""
        return "keyed_process"

    def _run(self, /, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.name!r} keeps state: it runs in streams of a fleet, and not by itself")


def keyed_process(
    f: KeyedProcessFunction | type[KeyedProcessFunction],
    input_types: TypesLike,
    result_types: TypesLike,
    deterministic: bool | None = None,
    name: str | None = None,
) -> KeyedProcessWrapper:
    """Declares a function that keeps state for each key.

    :param f: a KeyedProcessFunction, or its class.
    :param input_types: of the columns of its rows, without those of the key unless they are among its arguments.
    :param result_types: of its results' columns: a type, a list of types, or a ROW, which names them.
    :param deterministic: None: what the function says.
    :param name: None: that of its class.
    """
    return KeyedProcessWrapper(f, input_types, result_types, deterministic, name)
