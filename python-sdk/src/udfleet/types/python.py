"""The logical types of Python's own: `int`, `list[str]`, `Optional[datetime]`. Runs on a bare Python."""

from __future__ import annotations

from .datatype import BYTES, STRING, DataType, Field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BUILTIN: dict[type, DataType] = {
    bool: DataType("BOOLEAN"),
    int: DataType("BIGINT"),
    float: DataType("DOUBLE"),
    str: STRING,
    bytes: BYTES,
    bytearray: BYTES,
}
_INTERVAL = DataType("INTERVAL_DAY_TIME")
# By name, so that neither module is imported.
_BY_NAME: dict[str, DataType] = {
    "datetime.date": DataType("DATE"),
    "datetime.time": DataType("TIME", precision=6),
    "datetime.datetime": DataType("TIMESTAMP", precision=6),
    "datetime.timedelta": _INTERVAL,
    "decimal.Decimal": DataType("DECIMAL", precision=38, scale=18),
    "numpy.bool": DataType("BOOLEAN"),
    "numpy.bool_": DataType("BOOLEAN"),
    "numpy.int8": DataType("TINYINT"),
    "numpy.int16": DataType("SMALLINT"),
    "numpy.int32": DataType("INT"),
    "numpy.int64": DataType("BIGINT"),
    "numpy.uint8": DataType("SMALLINT"),
    "numpy.uint16": DataType("INT"),
    "numpy.uint32": DataType("BIGINT"),
    "numpy.float32": DataType("FLOAT"),
    "numpy.float64": DataType("DOUBLE"),
    "numpy.str_": STRING,
    "numpy.bytes_": BYTES,
}
PYTHON_NAMES = {name.partition(".")[2]: found for name, found in _BY_NAME.items() if not name.startswith("numpy")}
"""What `datetime`, `Decimal` and others stand for, where they are names that nothing is known of."""
_CONTAINERS = ("pandas", "pyarrow", "numpy")
"""Packages whose classes hold values of any type."""
_MAX_DEPTH = 64


class UnspecificTypeError(TypeError):
    """An annotation that may be right but says no type, such as `Any` or `pandas.Series`."""


def is_python_type(given: Any) -> bool:
    """Whether `from_python` is meant to read it: a class, something of typing's, or an Arrow type."""
    if isinstance(given, type) or hasattr(given, "__origin__") or type(given).__module__ in ("typing", "types"):
        return True
    return _is_arrow(given)


def from_python(given: Any, depth: int = 0) -> DataType:
    """The type that a Python class or annotation stands for. Types take nulls, as they do everywhere.

    :raises UnspecificTypeError: where it leaves the type open.
    :raises TypeError: where it is another thing, or no type holds it.
    """
    if depth > _MAX_DEPTH:
        raise TypeError(f"it is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(given, DataType):
        return given
    if isinstance(given, type) and not hasattr(given, "__origin__"):
        return _from_class(given)
    if given is None:
        raise TypeError("None is no type of values")
    if _is_arrow(given):
        return _from_arrow(given)
    return _from_typing(given, depth + 1)


def _is_arrow(given: Any) -> bool:
    return type(given).__module__.split(".")[0] == "pyarrow" and hasattr(given, "num_fields")


def _from_arrow(given: Any) -> DataType:
    from ..errors import InvalidInputError
    from .arrow import from_arrow

    try:
        return from_arrow(given, "the type")
    except InvalidInputError as error:
        raise TypeError(str(error.args[0])) from None


def _from_class(given: type) -> DataType:
    if given in _BUILTIN:
        return _BUILTIN[given]
    name = f"{given.__module__}.{given.__qualname__}"
    if name in _BY_NAME:
        return _BY_NAME[name]
    if given is object or given.__module__.split(".")[0] in _CONTAINERS or name in ("udfleet.row.Row", "typing.Any"):
        raise UnspecificTypeError(f"{given.__qualname__} leaves the type open")
    if given in (list, tuple, dict, set):
        raise TypeError(f"{given.__name__} leaves open what it holds" + _EXAMPLE.get(given, ""))
    if given is type(None):
        raise TypeError("None is no type of values")
    raise TypeError(f"no type holds values of class {given.__qualname__}")


_EXAMPLE: dict[type, str] = {list: ", list[int] does not", dict: ", dict[str, int] does not"}


def _from_typing(given: Any, depth: int) -> DataType:
    import typing

    if given is typing.Any:
        raise UnspecificTypeError("Any leaves the type open")
    for attribute in ("__supertype__", "__value__"):  # NewType, and `type X = ...`
        if hasattr(given, attribute):
            return from_python(getattr(given, attribute), depth)
    if hasattr(given, "__metadata__"):
        return _from_annotated(given, depth)
    origin, arguments = typing.get_origin(given), typing.get_args(given)
    if origin is typing.Union or type(given).__name__ == "UnionType":
        return _from_union(arguments, depth)
    if origin is typing.Literal:
        return _same({type(value) for value in arguments if value is not None}, depth)
    name = getattr(origin, "__name__", "")
    if origin is tuple and arguments:
        return _from_tuple(arguments, depth)
    if name in ("list", "Sequence", "MutableSequence") and len(arguments) == 1:
        return DataType("ARRAY", element=from_python(arguments[0], depth))
    if name in ("dict", "Mapping", "MutableMapping") and len(arguments) == 2:
        return DataType("MAP", key=from_python(arguments[0], depth), element=from_python(arguments[1], depth))
    if isinstance(origin, type) and origin.__module__.split(".")[0] in _CONTAINERS:
        raise UnspecificTypeError(f"{origin.__qualname__} leaves the type open")
    raise TypeError(f"no type holds {_text(given)}")


def _from_annotated(given: Any, depth: int) -> DataType:
    """`Annotated[Decimal, DataType("DECIMAL", precision=10, scale=2)]`, or with SQL text: what is added says it."""
    from .sql import parse

    for note in given.__metadata__:
        if isinstance(note, DataType):
            return note
        if isinstance(note, str):
            return parse(note)
    return from_python(given.__origin__, depth)


def _from_union(members: tuple[Any, ...], depth: int) -> DataType:
    kept = [member for member in members if member is not type(None)]
    if len(kept) != 1:
        raise TypeError(f"{' | '.join(map(_text, members))} is several types, a column has one")
    return from_python(kept[0], depth)


def _from_tuple(members: tuple[Any, ...], depth: int) -> DataType:
    if len(members) == 2 and members[1] is Ellipsis:
        return DataType("ARRAY", element=from_python(members[0], depth))
    fields = [Field(f"f{index}", from_python(member, depth)) for index, member in enumerate(members)]
    return DataType("ROW", fields=fields)


def _same(kinds: set[type], depth: int) -> DataType:
    if len(kinds) != 1:
        raise TypeError("a Literal of several types: a column has one")
    return from_python(kinds.pop(), depth)


def _text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
