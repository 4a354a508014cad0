"""Values of state as bytes, by their declared types.

What does not fit its type is refused, and equal values have equal bytes. These are kept: they must never change.
"""

from __future__ import annotations

import datetime
import decimal
import struct

from ..row import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..types import DataType
    from .backend import Codec

_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_EXACT = decimal.Context(prec=60, traps=[decimal.Inexact, decimal.InvalidOperation])
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_MICROSECOND = datetime.timedelta(microseconds=1)


class StateTypeError(TypeError):
    """A value that does not fit the type that its state was declared with."""


def codec_of(data_type: DataType) -> Codec:
    """The codec of a type.

    :raises TypeError: for a type that state can't have.
    """
    root = data_type.root
    if root in _INTEGERS:
        return _Integer(data_type, _INTEGERS[root])
    plain = _PLAIN.get(root)
    if plain is not None:
        codec: Codec = plain(data_type)
        return codec
    if root == "ARRAY" and data_type.element is not None:
        return _Array(data_type, _Nullable(data_type.element))
    if root == "MAP" and data_type.key is not None and data_type.element is not None:
        if not _is_hashable(data_type.key):
            raise TypeError(f"state can't have values of type {data_type}: its keys can't be keys of a dict")
        return _Map(data_type, _Nullable(data_type.key), _Nullable(data_type.element))
    if root == "ROW":
        return _Row(data_type)
    raise TypeError(f"state can't have values of type {data_type}")


def _is_hashable(data_type: DataType) -> bool:
    return data_type.root not in ("ARRAY", "MAP") and all(_is_hashable(field.data_type) for field in data_type.fields)


class _Codec:
    __slots__ = ("_type",)
    is_immutable = True
    _same: type | None = None
    """Values of this very class are decoded as they were encoded."""

    def __init__(self, data_type: DataType) -> None:
        self._type = data_type

    def _misfit(self, value: Any) -> StateTypeError:
        return StateTypeError(f"{value!r:.100} does not fit {self._type}, the type that its state is declared with")

    def kept(self, value: Any, data: bytes) -> Any:
        return value if type(value) is self._same else self.decode(data)

    def decode(self, data: bytes) -> Any:
        raise NotImplementedError


class _Integer(_Codec):
    __slots__ = ("_bits", "_bytes", "exact")
    _same = int

    def __init__(self, data_type: DataType, bits: int) -> None:
        super().__init__(data_type)
        self._bits = bits - 1
        self.exact = (int, -1 << self._bits, (1 << self._bits) - 1)
        """Values of this very Python type, from the one number to the other, fit."""
        self._bytes = bits // 8

    def encode(self, value: Any) -> bytes:
        if type(value) is not int and (isinstance(value, bool) or not hasattr(value, "__index__")):
            raise self._misfit(value)
        number: int = value.__index__()
        if not -1 << self._bits <= number < 1 << self._bits:
            raise self._misfit(value)
        return number.to_bytes(self._bytes, "little", signed=True)

    def decode(self, data: bytes) -> int:
        return int.from_bytes(data, "little", signed=True)


class _Floating(_Codec):
    __slots__ = ()
    _format = _DOUBLE

    def encode(self, value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._misfit(value)
        try:
            number = float(value)
            if isinstance(value, int) and int(number) != value:
                raise self._misfit(value)
            if number != number:
                return self._format.pack(float("nan"))
            return self._format.pack(number + 0.0)
        except OverflowError:
            raise self._misfit(value) from None

    def decode(self, data: bytes) -> float:
        number: float = self._format.unpack(data)[0]
        return number


class _Float(_Floating):
    __slots__ = ()
    _format = _FLOAT


class _Boolean(_Codec):
    __slots__ = ()
    _same = bool

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bool):
            raise self._misfit(value)
        return b"\1" if value else b"\0"

    def decode(self, data: bytes) -> bool:
        return data == b"\1"


class _Text(_Codec):
    __slots__ = ()
    _same = str

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str) or len(value) > self._type.length:
            raise self._misfit(value)
        if self._type.root == "CHAR" and len(value) != self._type.length:
            raise self._misfit(value)
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise self._misfit(value) from None

    def decode(self, data: bytes) -> str:
        return data.decode()


class _Bytes(_Codec):
    __slots__ = ()
    _same = bytes

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, (bytes, bytearray, memoryview)) or len(value) > self._type.length:
            raise self._misfit(value)
        if self._type.root == "BINARY" and len(value) != self._type.length:
            raise self._misfit(value)
        return bytes(value)

    def decode(self, data: bytes) -> bytes:
        return data


class _Decimal(_Codec):
    __slots__ = ()

    def encode(self, value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, (int, decimal.Decimal)):
            raise self._misfit(value)
        try:
            number = decimal.Decimal(value)
            unscaled = int(number.scaleb(self._type.scale, _EXACT).to_integral_exact(context=_EXACT))
        except (decimal.DecimalException, ValueError, OverflowError):
            raise self._misfit(value) from None
        if abs(unscaled) >= 10**self._type.precision:
            raise self._misfit(value)
        return unscaled.to_bytes(16, "little", signed=True)

    def decode(self, data: bytes) -> decimal.Decimal:
        unscaled = int.from_bytes(data, "little", signed=True)
        return decimal.Decimal(unscaled).scaleb(-self._type.scale, _EXACT)


class _Date(_Codec):
    __slots__ = ()
    _same = datetime.date

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            raise self._misfit(value)
        return (value.toordinal() - _EPOCH).to_bytes(4, "little", signed=True)

    def decode(self, data: bytes) -> datetime.date:
        return datetime.date.fromordinal(int.from_bytes(data, "little", signed=True) + _EPOCH)


class _Time(_Codec):
    """Microseconds since midnight. What a type of fewer digits would cut off is refused."""

    __slots__ = ("_unit",)

    def __init__(self, data_type: DataType) -> None:
        super().__init__(data_type)
        self._unit = 10 ** max(0, 6 - data_type.precision)

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, datetime.time) or value.tzinfo is not None:
            raise self._misfit(value)
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return self._bytes(seconds * 1_000_000 + value.microsecond, value)

    def _bytes(self, microseconds: int, value: Any) -> bytes:
        if microseconds % self._unit:
            raise self._misfit(value)
        return microseconds.to_bytes(8, "little", signed=True)

    def decode(self, data: bytes) -> Any:
        seconds, microseconds = divmod(int.from_bytes(data, "little", signed=True), 1_000_000)
        minutes, seconds = divmod(seconds, 60)
        return datetime.time(minutes // 60, minutes % 60, seconds, microseconds)


class _Timestamp(_Time):
    """Microseconds since 1970, of a clock without a zone."""

    __slots__ = ()
    _epoch = datetime.datetime(1970, 1, 1)

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, datetime.datetime) or (value.tzinfo is None) != (self._epoch.tzinfo is None):
            raise self._misfit(value)
        return self._bytes((value - self._epoch) // _MICROSECOND, value)

    def decode(self, data: bytes) -> datetime.datetime:
        return self._epoch + datetime.timedelta(microseconds=int.from_bytes(data, "little", signed=True))


class _LocalTimestamp(_Timestamp):
    """Microseconds since 1970 in UTC: a moment, whatever zone it was given in."""

    __slots__ = ()
    _epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


_PLAIN: dict[str, Any] = {
    "BINARY": _Bytes,
    "BOOLEAN": _Boolean,
    "CHAR": _Text,
    "DATE": _Date,
    "DECIMAL": _Decimal,
    "DOUBLE": _Floating,
    "FLOAT": _Float,
    "TIME": _Time,
    "TIMESTAMP": _Timestamp,
    "TIMESTAMP_LTZ": _LocalTimestamp,
    "VARBINARY": _Bytes,
    "VARCHAR": _Text,
}


class _Nullable:
    """A part of a value, behind whether there is one and its length."""

    __slots__ = ("_codec", "_type")

    def __init__(self, data_type: DataType) -> None:
        self._codec = codec_of(data_type)
        self._type = data_type

    def encode(self, value: Any) -> bytes:
        if value is None:
            if not self._type.is_nullable:
                raise StateTypeError(f"None does not fit {self._type}, the type of a part of a state")
            return b"\0"
        data = self._codec.encode(value)
        return b"\1" + len(data).to_bytes(4, "little") + data

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        if data[at] == 0:
            return None, at + 1
        end = at + 5 + int.from_bytes(data[at + 1 : at + 5], "little")
        return self._codec.decode(data[at + 5 : end]), end


class _Array(_Codec):
    __slots__ = ("_element",)
    is_immutable = False

    def __init__(self, data_type: DataType, element: _Nullable) -> None:
        super().__init__(data_type)
        self._element = element

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, (list, tuple)):
            raise self._misfit(value)
        return b"".join(map(self._element.encode, value))

    def decode(self, data: bytes) -> list[Any]:
        values, at = [], 0
        while at < len(data):
            value, at = self._element.decode(data, at)
            values.append(value)
        return values


class _Map(_Codec):
    __slots__ = ("_key", "_value")
    is_immutable = False

    def __init__(self, data_type: DataType, key: _Nullable, value: _Nullable) -> None:
        super().__init__(data_type)
        self._key = key
        self._value = value

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, dict):
            raise self._misfit(value)
        # The order of their keys: equal maps have equal bytes.
        entries = sorted((self._key.encode(key), self._value.encode(item)) for key, item in value.items())
        return b"".join(key + item for key, item in entries)

    def decode(self, data: bytes) -> dict[Any, Any]:
        entries, at = {}, 0
        while at < len(data):
            key, at = self._key.decode(data, at)
            entries[key], at = self._value.decode(data, at)
        return entries


class _Row(_Codec):
    __slots__ = ("_fields", "_names")
    is_immutable = False

    def __init__(self, data_type: DataType) -> None:
        super().__init__(data_type)
        self._fields = [_Nullable(field.data_type) for field in data_type.fields]
        self._names = [field.name for field in data_type.fields]

    def encode(self, value: Any) -> bytes:
        if isinstance(value, dict):
            if set(value) - set(self._names):
                raise self._misfit(value)
            values = [value.get(name) for name in self._names]
        elif isinstance(value, (Row, tuple, list)):
            values = list(value)
        else:
            raise self._misfit(value)
        if len(values) != len(self._fields):
            raise self._misfit(value)
        return b"".join(field.encode(item) for field, item in zip(self._fields, values))

    def decode(self, data: bytes) -> Row:
        values, at = [], 0
        for field in self._fields:
            value, at = field.decode(data, at)
            values.append(value)
        row = Row(*values)
        row.set_field_names(self._names)
        return row
