"""A type in any of the forms that users write. Runs on a bare Python."""

from __future__ import annotations

from .datatype import DataType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    TypeLike = Union[DataType, str, type, Any]
    """A DataType, SQL text, a Python type or annotation, or an Arrow type."""


def data_type(given: Any, what: str) -> DataType:
    """A type from a DataType, SQL text, a Python type such as `int` or `list[str]`, or an Arrow type.

    :param what: what the type is of, for errors.
    :raises TypeError: what is none of these.
    :raises ValueError: where a text goes wrong.
    """
    if isinstance(given, DataType):
        return given
    if isinstance(given, str):
        from .sql import parse

        return parse(given)
    from .python import from_python, is_python_type

    if not is_python_type(given):
        raise TypeError(f"{what} must be a DataType, SQL text, a Python type or an Arrow type, not {given!r:.100}")
    try:
        return from_python(given)
    except TypeError as error:
        name = given.__name__ if isinstance(given, type) and not hasattr(given, "__origin__") else str(given)
        raise TypeError(f"{what} {name}: {error}; a DataType or SQL text says it") from None
