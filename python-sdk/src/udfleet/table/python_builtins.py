"""The types of the built-in functions that are Python functions, and their declarations for what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..declaration import UserDefinedFunctionWrapper, udf, udtf
from ..errors import InvalidPlanError
from ..types import DataType, DataTypes
from .python_functions import arrays, formats, json_texts, json_values, numbers, patterns, texts, times

TypeOf = Callable[[int], DataType]
"""The type of the argument at a position."""

_TEXT, _WHOLE, _REAL, _TRUTH = DataTypes.STRING(), DataTypes.BIGINT(), DataTypes.DOUBLE(), DataTypes.BOOLEAN()
_TEXTS, _BYTES = DataTypes.ARRAY(_TEXT), DataTypes.BYTES()


class _Fixed(NamedTuple):
    """A function of the same types always."""

    function: Callable[..., Any]
    inputs: tuple[DataType, ...]
    result: DataType
    optional: int = 0
    """How many of the inputs may be left out, from the end."""
    deterministic: bool = True


_FIXED: dict[str, _Fixed] = {
    "regexp": _Fixed(patterns.regexp, (_TEXT, _TEXT), _TRUTH),
    "regexp_count": _Fixed(patterns.regexp_count, (_TEXT, _TEXT), _WHOLE),
    "regexp_extract": _Fixed(patterns.regexp_extract, (_TEXT, _TEXT, _WHOLE), _TEXT, 1),
    "regexp_extract_all": _Fixed(patterns.regexp_extract_all, (_TEXT, _TEXT, _WHOLE), _TEXTS, 1),
    "regexp_instr": _Fixed(patterns.regexp_instr, (_TEXT, _TEXT), _WHOLE),
    "regexp_substr": _Fixed(patterns.regexp_substr, (_TEXT, _TEXT), _TEXT),
    "regexp_replace": _Fixed(patterns.regexp_replace, (_TEXT, _TEXT, _TEXT), _TEXT),
    "similar": _Fixed(patterns.similar, (_TEXT, _TEXT), _TRUTH),
    "initcap": _Fixed(texts.initcap, (_TEXT,), _TEXT),
    "split_index": _Fixed(texts.split_index, (_TEXT, _TEXT, _WHOLE), _TEXT),
    "split": _Fixed(texts.split, (_TEXT, _TEXT), _TEXTS),
    "translate": _Fixed(texts.translate, (_TEXT, _TEXT, _TEXT), _TEXT),
    "ascii": _Fixed(texts.ascii_code, (_TEXT,), _WHOLE),
    "chr": _Fixed(texts.character, (_WHOLE,), _TEXT),
    "to_base64": _Fixed(texts.to_base64, (_TEXT,), _TEXT),
    "from_base64": _Fixed(texts.from_base64, (_TEXT,), _TEXT),
    "md5": _Fixed(texts.md5, (_TEXT,), _TEXT),
    "sha1": _Fixed(texts.sha1, (_TEXT,), _TEXT),
    "sha224": _Fixed(texts.sha224, (_TEXT,), _TEXT),
    "sha256": _Fixed(texts.sha256, (_TEXT,), _TEXT),
    "sha384": _Fixed(texts.sha384, (_TEXT,), _TEXT),
    "sha512": _Fixed(texts.sha512, (_TEXT,), _TEXT),
    "sha2": _Fixed(texts.sha2, (_TEXT, _WHOLE), _TEXT),
    "unhex": _Fixed(texts.unhex, (_TEXT,), _BYTES),
    "decode": _Fixed(texts.decode, (_BYTES, _TEXT), _TEXT),
    "encode": _Fixed(texts.encode, (_TEXT, _TEXT), _BYTES),
    "url_encode": _Fixed(texts.url_encode, (_TEXT,), _TEXT),
    "url_decode": _Fixed(texts.url_decode, (_TEXT,), _TEXT),
    "parse_url": _Fixed(texts.parse_url, (_TEXT, _TEXT, _TEXT), _TEXT, 1),
    "str_to_map": _Fixed(texts.str_to_map, (_TEXT, _TEXT, _TEXT), DataTypes.MAP(_TEXT.not_null(), _TEXT), 2),
    "from_unixtime": _Fixed(times.from_unixtime, (_WHOLE, _TEXT), _TEXT, 1),
    "unix_timestamp": _Fixed(times.unix_timestamp, (_TEXT, _TEXT), _WHOLE, 1),
    "convert_tz": _Fixed(times.convert_tz, (_TEXT, _TEXT, _TEXT), _TEXT),
    "date_of_text": _Fixed(times.to_date, (_TEXT, _TEXT), DataTypes.DATE()),
    "timestamp_of_text": _Fixed(times.to_timestamp, (_TEXT, _TEXT), DataTypes.TIMESTAMP(3)),
    "bin": _Fixed(numbers.binary, (_WHOLE,), _TEXT),
    "rand": _Fixed(numbers.rand, (), _REAL.not_null(), deterministic=False),
    "rand_integer": _Fixed(numbers.rand_integer, (_WHOLE,), _WHOLE, deterministic=False),
    "uuid": _Fixed(numbers.uuid, (), _TEXT.not_null(), deterministic=False),
    "is_json": _Fixed(json_values.is_json, (_TEXT,), _TRUTH),
    "json_exists": _Fixed(json_values.json_exists, (_TEXT, _TEXT), _TRUTH),
    "json_value": _Fixed(json_values.json_value, (_TEXT, _TEXT), _TEXT),
    "json_query": _Fixed(json_values.json_query, (_TEXT, _TEXT), _TEXT),
    "json_quote": _Fixed(json_values.json_quote, (_TEXT,), _TEXT),
    "inet_aton": _Fixed(texts.inet_aton, (_TEXT,), _WHOLE),
    "inet_ntoa": _Fixed(texts.inet_ntoa, (_WHOLE,), _TEXT),
    "is_valid_utf8": _Fixed(texts.is_valid_utf8, (_BYTES,), _TRUTH),
    "make_valid_utf8": _Fixed(texts.make_valid_utf8, (_BYTES,), _TEXT),
    "json_unquote": _Fixed(json_values.json_unquote, (_TEXT,), _TEXT),
}


class _Typed(NamedTuple):
    """A function whose types follow from those of its arguments."""

    function: Callable[..., Any]
    least: int
    most: int
    types: Callable[[str, TypeOf, int], tuple[list[DataType], DataType]]
    """Of its name, its arguments and their number: the types of these, and of its result."""


def _element(name: str, type_of: TypeOf, position: int = 0) -> DataType:
    given = type_of(position)
    if given.root != "ARRAY" or given.element is None:
        raise InvalidPlanError(f"{name.upper()} takes an ARRAY, not {given}")
    return given.element.nullable()


def _map(name: str, type_of: TypeOf) -> tuple[DataType, DataType, DataType]:
    given = type_of(0)
    if given.root != "MAP" or given.key is None or given.element is None:
        raise InvalidPlanError(f"{name.upper()} takes a MAP, not {given}")
    return given.nullable(), given.key, given.element.nullable()


def _same(name: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    array = DataTypes.ARRAY(_element(name, type_of))
    return [array] * count, array


def _and_element(result: DataType | None) -> Callable[[str, TypeOf, int], tuple[list[DataType], DataType]]:
    """An array and an element; gives that, or an array where it is None."""

    def types(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
        element = _element(name, type_of)
        array = DataTypes.ARRAY(element)
        return [array, element], array if result is None else result

    return types


def _one(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    element = _element(name, type_of)
    return [DataTypes.ARRAY(element)], element


def _with(*further: DataType) -> Callable[[str, TypeOf, int], tuple[list[DataType], DataType]]:
    """An array and so many of these; gives the array."""

    def types(name: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
        array = DataTypes.ARRAY(_element(name, type_of))
        return [array, *further][:count], array

    return types


def _cardinality(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    given = type_of(0)
    if given.root not in ("ARRAY", "MAP"):
        raise InvalidPlanError(f"{name.upper()} takes an ARRAY or a MAP, not {given}")
    return [given.nullable()], _WHOLE


def _at(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    given = type_of(0)
    if given.root == "MAP":
        whole, key, value = _map(name, type_of)
        return [whole, key.nullable()], value
    element = _element(name, type_of)
    return [DataTypes.ARRAY(element), _WHOLE], element


def _joined(_: str, __: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    return [_TEXTS, _TEXT, _TEXT][:count], _TEXT


def _keys(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    whole, key, _value = _map(name, type_of)
    return [whole], DataTypes.ARRAY(key)


def _values(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    whole, _key, value = _map(name, type_of)
    return [whole], DataTypes.ARRAY(value)


def _maps(name: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    whole, _key, _value = _map(name, type_of)
    return [whole] * count, whole


def _from_arrays(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    key, value = _element(name, type_of), _element(name, type_of, 1)
    return [DataTypes.ARRAY(key), DataTypes.ARRAY(value)], DataTypes.MAP(key.not_null(), value)


def _hex(_: str, type_of: TypeOf, __: int) -> tuple[list[DataType], DataType]:
    whole = type_of(0).root in ("TINYINT", "SMALLINT", "INT", "BIGINT")
    return [_WHOLE if whole else _TEXT], _TEXT


def _as_given(name: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    """A number and whole numbers; gives the number's type."""
    given = type_of(0).nullable()
    if given.root not in ("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"):
        raise InvalidPlanError(f"{name.upper()} takes a number, not {given}")
    return [given, _WHOLE][:count], given


def _moment(name: str, type_of: TypeOf, position: int) -> DataType:
    given = type_of(position).nullable()
    if given.root not in ("DATE", "TIMESTAMP", "TIMESTAMP_LTZ") or given.precision > 6:
        raise InvalidPlanError(f"{name.upper()} takes a DATE or a TIMESTAMP of at most 6 digits, not {given}")
    return given


def _written_time(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    return [_moment(name, type_of, 0), _TEXT], _TEXT


def _between(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    return [_TEXT, _moment(name, type_of, 1), _moment(name, type_of, 2)], _WHOLE


def _to_unit(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    given = type_of(0).nullable()
    given = given if given.root == "TIME" and given.precision <= 6 else _moment(name, type_of, 0)
    return [given, _TEXT], given


def _point(_: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    text = type_of(0).root in ("CHAR", "VARCHAR")
    inputs = [_TEXT, _TEXT, _TEXT] if text else [_WHOLE, _WHOLE, _WHOLE]
    return inputs[:count], DataTypes.TIMESTAMP_LTZ(3)


def _entries(name: str, type_of: TypeOf, _: int) -> tuple[list[DataType], DataType]:
    whole, key, value = _map(name, type_of)
    return [whole], DataTypes.ARRAY(DataTypes.ROW([DataTypes.FIELD("key", key), DataTypes.FIELD("value", value)]))


def _any(_: str, type_of: TypeOf, __: int) -> tuple[list[DataType], DataType]:
    return [type_of(0).nullable()], _TEXT


def _formatted(_: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    return [_TEXT, *(type_of(position).nullable() for position in range(1, count))], _TEXT


_INTERVALS = ("INTERVAL_DAY_TIME", "INTERVAL_YEAR_MONTH")


def _spans(name: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    """Two points in time with an interval or a point behind each."""
    inputs = [type_of(position).nullable() for position in range(count)]
    for point, end in ((inputs[0], inputs[1]), (inputs[2], inputs[3])):
        known = point.root in ("TIME", "DATE", "TIMESTAMP", "TIMESTAMP_LTZ") and point.precision <= 6
        if not known or end.root not in (point.root, *_INTERVALS) or point.root != inputs[0].root:
            raise InvalidPlanError(
                f"{name.upper()} takes a time and an interval or a time of its kind, twice, not {point} and {end}"
            )
    return inputs, _TRUTH


def _choice(_: str, __: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    return [_WHOLE, *[_TEXT] * (count - 1)], _TEXT


def _made_array(_: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    element = type_of(0).nullable()
    return [element] * count, DataTypes.ARRAY(element).not_null()


def _made_row(_: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    inputs = [type_of(position).nullable() for position in range(count)]
    return inputs, DataTypes.ROW(inputs).not_null()


def _made_map(name: str, type_of: TypeOf, count: int) -> tuple[list[DataType], DataType]:
    if count % 2:
        raise InvalidPlanError(f"{name.upper()} takes keys and values in turn, not {count} arguments")
    key, value = type_of(0).not_null(), type_of(1).nullable()
    return [key, value] * (count // 2), DataTypes.MAP(key, value).not_null()


_TYPED: dict[str, _Typed] = {
    "truncate": _Typed(numbers.truncate, 1, 2, _as_given),
    "date_format": _Typed(times.date_format, 2, 2, _written_time),
    "timestamp_diff": _Typed(times.timestamp_diff, 3, 3, _between),
    "floor_to": _Typed(times.floor_to, 2, 2, _to_unit),
    "ceil_to": _Typed(times.ceil_to, 2, 2, _to_unit),
    "to_timestamp_ltz": _Typed(times.to_timestamp_ltz, 1, 3, _point),
    "elt": _Typed(texts.elt, 2, 100, _choice),
    "printf": _Typed(formats.printf, 1, 100, _formatted),
    "json_string": _Typed(json_texts.json_string, 1, 1, _any),
    "temporal_overlaps": _Typed(times.temporal_overlaps, 4, 4, _spans),
    "map_entries": _Typed(arrays.map_entries, 1, 1, _entries),
    "array": _Typed(arrays.array, 1, 1_000, _made_array),
    "row": _Typed(arrays.row, 1, 1_000, _made_row),
    "map": _Typed(arrays.map_, 2, 1_000, _made_map),
    "hex": _Typed(texts.hexadecimal, 1, 1, _hex),
    "cardinality": _Typed(arrays.cardinality, 1, 1, _cardinality),
    "element": _Typed(arrays.element, 1, 1, _one),
    "element_at": _Typed(arrays.at, 2, 2, _at),
    "array_contains": _Typed(arrays.array_contains, 2, 2, _and_element(_TRUTH)),
    "array_position": _Typed(arrays.array_position, 2, 2, _and_element(_WHOLE)),
    "array_append": _Typed(arrays.array_append, 2, 2, _and_element(None)),
    "array_prepend": _Typed(arrays.array_prepend, 2, 2, _and_element(None)),
    "array_remove": _Typed(arrays.array_remove, 2, 2, _and_element(None)),
    "array_distinct": _Typed(arrays.array_distinct, 1, 1, _same),
    "array_reverse": _Typed(arrays.array_reverse, 1, 1, _same),
    "array_concat": _Typed(arrays.array_concat, 1, 100, _same),
    "array_union": _Typed(arrays.array_union, 2, 2, _same),
    "array_intersect": _Typed(arrays.array_intersect, 2, 2, _same),
    "array_except": _Typed(arrays.array_except, 2, 2, _same),
    "array_slice": _Typed(arrays.array_slice, 2, 3, _with(_WHOLE, _WHOLE)),
    "array_sort": _Typed(arrays.array_sort, 1, 3, _with(_TRUTH, _TRUTH)),
    "array_max": _Typed(arrays.array_max, 1, 1, _one),
    "array_min": _Typed(arrays.array_min, 1, 1, _one),
    "array_join": _Typed(arrays.array_join, 2, 3, _joined),
    "map_keys": _Typed(arrays.map_keys, 1, 1, _keys),
    "map_values": _Typed(arrays.map_values, 1, 1, _values),
    "map_union": _Typed(arrays.map_union, 1, 100, _maps),
    "map_from_arrays": _Typed(arrays.map_from_arrays, 2, 2, _from_arrays),
}
NAMES = frozenset(_FIXED.keys() | _TYPED.keys())
"""The names, in lower case."""
VOLATILE = frozenset(name for name, fixed in _FIXED.items() if not fixed.deterministic)
"""Those of them that give another value at each call."""

REPEAT = udtf(numbers.repeated, [_WHOLE], _WHOLE, name="repeated")
"""A table function of so many rows."""
_declared: dict[tuple[str, tuple[DataType, ...], DataType], UserDefinedFunctionWrapper[..., Any]] = {}


def declared(name: str, count: int, type_of: TypeOf) -> UserDefinedFunctionWrapper[..., Any]:
    """The function of a name for so many arguments; `type_of` finds their types where they matter.

    :raises InvalidPlanError: it does not take so many, or none of these types.
    """
    fixed = _FIXED.get(name)
    most = len(fixed.inputs) if fixed else _TYPED[name].most
    least = most - fixed.optional if fixed else _TYPED[name].least
    if not least <= count <= most:
        takes = str(least) if least == most else f"{least} to {most}"
        raise InvalidPlanError(f"{name.upper()} takes {takes} arguments, not {count}")
    if fixed:
        inputs, result = list(fixed.inputs[:count]), fixed.result
    else:
        inputs, result = _TYPED[name].types(name, type_of, count)
    key = (name, tuple(inputs), result)
    if key not in _declared:
        function = fixed.function if fixed else _TYPED[name].function
        _declared[key] = udf(function, inputs, result, name=name, deterministic=fixed is None or fixed.deterministic)
    return _declared[key]
