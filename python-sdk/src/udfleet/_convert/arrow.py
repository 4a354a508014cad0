"""Arrow columns of other types than declared: what is of the same kind converts, where every value fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..types import DataType
from ..types.datatype import MAX_LENGTH
from .misfit import MisfitError
from .sequences import from_values
from .times import unit_digits

_FAILURES = (pa.ArrowException, OverflowError, TypeError, ValueError)
kinds = pa.types


def fit(
    array: pa.Array | pa.ChunkedArray, data_type: DataType, arrow_type: pa.DataType, numpy: bool = False
) -> pa.Array:
    """The column in the Arrow type of its declared one.

    :param numpy: it comes from numpy or pandas, which have neither dates nor months: timestamps at midnight are dates,
        and integers are months.
    :raises MisfitError: naming the first row that does not fit, or the type where none would.
    """
    array = _values_of(array)
    if kinds.is_null(array.type):
        converted = pa.nulls(len(array), arrow_type)
    elif numpy and data_type.root == "INTERVAL_YEAR_MONTH" and kinds.is_integer(array.type):
        return from_values(array.to_pylist(), data_type, arrow_type)
    elif not _same_kind(array.type, data_type, numpy):
        raise MisfitError(f"{array.type} for {data_type}")
    else:
        converted = _by_cast(array, data_type, arrow_type)
    if not data_type.is_nullable and converted.null_count:
        row = pc.index(converted.is_null(), True).as_py()
        raise MisfitError(f"None for {data_type}", row, None)
    return converted


def _values_of(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """In one piece; of an encoded array its values."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if kinds.is_dictionary(array.type):
        array = array.dictionary_decode()
    return pc.run_end_decode(array) if kinds.is_run_end_encoded(array.type) else array


def _by_cast(array: pa.Array, data_type: DataType, arrow_type: pa.DataType) -> pa.Array:
    try:
        return _cast(array, data_type, arrow_type)
    except _FAILURES as error:
        if data_type.root in ("DOUBLE", "FLOAT", "DECIMAL") and kinds.is_integer(array.type):
            # Exact where Arrow only looks at the width.
            return from_values(array.to_pylist(), data_type, arrow_type)
        complaint = str(error)
    row = _first_failure(array, lambda part: _cast(part, data_type, arrow_type))
    value = array[row]
    raise MisfitError(f"{value} for {data_type}: {complaint}", row, _python(value))


def _python(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except _FAILURES:
        return value


def _first_failure(array: pa.Array, convert: Callable[[pa.Array], Any]) -> int:
    low, high = 0, len(array) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            convert(array.slice(low, middle - low + 1))
        except _FAILURES:
            high = middle
        else:
            low = middle + 1
    return low


def _cast(array: pa.Array, data_type: DataType, arrow_type: pa.DataType) -> pa.Array:
    """A cast that changes no value; ValueError where one would change, or the declared type has a narrower rule."""
    if array.type == arrow_type:
        cast = array
    elif kinds.is_boolean(array.type) and kinds.is_floating(arrow_type):
        cast = array.cast(pa.int8()).cast(arrow_type)
    elif kinds.is_timestamp(array.type) and kinds.is_date(arrow_type):
        cast = array.cast(arrow_type)
        if not cast.cast(array.type.unit and pa.timestamp(array.type.unit)).equals(array):
            raise ValueError("a time of day for a date")
    else:
        cast = array.cast(arrow_type)
    _check(array, cast, data_type)
    return cast


def _check(given: pa.Array, cast: pa.Array, data_type: DataType) -> None:
    root = data_type.root
    if root == "FLOAT" and given.type != cast.type and kinds.is_floating(given.type):
        if not pc.is_inf(cast).equals(pc.is_inf(given)):
            raise ValueError("out of range")
    elif root in ("CHAR", "VARCHAR", "VARBINARY") and data_type.length != MAX_LENGTH:
        _check_lengths(cast, data_type)
    elif root in ("TIME", "TIMESTAMP", "TIMESTAMP_LTZ"):
        _check_digits(cast, data_type.precision)
    elif root == "INTERVAL_YEAR_MONTH" and any(v and (v.days or v.nanoseconds) for v in cast.to_pylist()):
        raise ValueError("days or a time beside months")
    for part, made, declared in _parts(given, cast, data_type):
        _check(part, made, declared)
        if made.null_count and not declared.is_nullable:
            raise ValueError(f"None for {declared}")


def _check_lengths(column: pa.Array, data_type: DataType) -> None:
    lengths = pc.binary_length(column) if data_type.root == "VARBINARY" else pc.utf8_length(column)
    bounds = pc.min_max(lengths).as_py()
    if bounds["max"] is not None and (
        bounds["max"] > data_type.length or (data_type.root == "CHAR" and bounds["min"] < data_type.length)
    ):
        raise ValueError("too long or too short")


def _check_digits(column: pa.Array, precision: int) -> None:
    step = 10 ** (unit_digits(precision) - precision)
    if step > 1:
        wide = column.cast(pa.int32()) if kinds.is_time32(column.type) else column
        numbers = wide.cast(pa.int64())
        if pc.any(pc.not_equal(pc.multiply(pc.divide(numbers, step), step), numbers)).as_py():
            raise ValueError(f"finer than {precision} digits of a second")


def _parts(given: pa.Array, cast: pa.Array, data_type: DataType) -> Iterator[tuple[pa.Array, pa.Array, DataType]]:
    """What a nested column is made of, where it is given and as it was cast."""
    if data_type.root == "ARRAY" and data_type.element is not None:
        yield given.flatten(), cast.flatten(), data_type.element
    elif data_type.root == "ROW":
        names = [given.type.field(index).name for index in range(given.type.num_fields)]
        parts = dict(zip(names, given.flatten(), strict=True))
        for field, made in zip(data_type.fields, cast.flatten(), strict=True):
            # Where the row itself is missing, so are its parts.
            yield parts[field.name].filter(given.is_valid()), made.filter(cast.is_valid()), field.data_type
    elif data_type.root in ("MAP", "MULTISET"):
        for part, made, declared in (
            (given.keys, cast.keys, data_type.key),
            (given.items, cast.items, data_type.element if data_type.root == "MAP" else None),
        ):
            if declared is not None:
                yield part, made, declared


def _same_kind(arrow: pa.DataType, data_type: DataType, numpy: bool) -> bool:
    root = data_type.root
    if kinds.is_null(arrow):
        return True
    if root in _NUMBERS:
        return any(is_kind(arrow) for is_kind in (kinds.is_integer, kinds.is_boolean, kinds.is_floating))
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return bool(kinds.is_timestamp(arrow)) and (arrow.tz is not None) == (root == "TIMESTAMP_LTZ")
    if root == "DATE":
        return bool(kinds.is_date(arrow)) or (numpy and bool(kinds.is_timestamp(arrow)) and arrow.tz is None)
    if root == "ARRAY" and data_type.element is not None:
        lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
        return any(is_kind(arrow) for is_kind in lists) and _same_kind(arrow.value_type, data_type.element, False)
    if root == "ROW":
        return bool(kinds.is_struct(arrow)) and _same_fields(arrow, data_type)
    if root in ("MAP", "MULTISET"):
        return bool(kinds.is_map(arrow)) and _same_entries(arrow, data_type)
    return any(is_kind(arrow) for is_kind in _KINDS.get(root, ()))


def _same_entries(arrow: pa.MapType, data_type: DataType) -> bool:
    key, value = data_type.key, data_type.element
    if data_type.root == "MULTISET":
        key, value = value, _COUNT
    return bool(key and value and _same_kind(arrow.key_type, key, False) and _same_kind(arrow.item_type, value, False))


def _same_fields(arrow: pa.StructType, data_type: DataType) -> bool:
    given = {arrow.field(index).name: arrow.field(index).type for index in range(arrow.num_fields)}
    declared = {field.name: field.data_type for field in data_type.fields}
    return (
        arrow.num_fields == len(given) == len(declared)
        and given.keys() == declared.keys()
        and all(_same_kind(given[name], declared[name], False) for name in given)
    )


_COUNT = DataType("INT", False)
_NUMBERS = frozenset({"TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"})
_TEXTS = (kinds.is_string, kinds.is_large_string, kinds.is_string_view)
_BYTES = (kinds.is_binary, kinds.is_large_binary, kinds.is_binary_view, kinds.is_fixed_size_binary)
_KINDS: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "BOOLEAN": (kinds.is_boolean,),
    **dict.fromkeys(("CHAR", "VARCHAR"), _TEXTS),
    **dict.fromkeys(("BINARY", "VARBINARY"), _BYTES),
    "DECIMAL": (kinds.is_decimal, kinds.is_integer),
    "TIME": (kinds.is_time,),
    "INTERVAL_DAY_TIME": (kinds.is_duration,),
    "INTERVAL_YEAR_MONTH": (lambda arrow: bool(arrow == pa.month_day_nano_interval()),),
}
