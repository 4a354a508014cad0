"""`DataTypes`: how users write types. Parameters and defaults are PyFlink's."""

from __future__ import annotations

from .datatype import MAX_LENGTH, TIME_DIGITS, DataType, Field, interval_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .coerce import TypeLike


class Resolution:
    """A unit of an INTERVAL."""

    __slots__ = ("precision", "unit")

    def __init__(self, unit: str, precision: int = -1) -> None:
        self.unit = unit
        self.precision = precision

    def __repr__(self) -> str:
        return f"DataTypes.{self.unit}({self.precision if self.precision >= 0 else ''})"


class DataTypes:
    """Factories of all types. Types take nulls unless said otherwise."""

    @staticmethod
    def parse(sql: str) -> DataType:
        """A type from SQL text such as `"ROW<a INT NOT NULL, b ARRAY<STRING>>"`."""
        from .sql import parse

        return parse(sql)

    @staticmethod
    def NULL() -> DataType:
        """Only nulls."""
        return DataType("NULL")

    @staticmethod
    def CHAR(length: int, nullable: bool = True) -> DataType:
        """Text of a fixed number of characters."""
        return DataType("CHAR", nullable, length=length)

    @staticmethod
    def VARCHAR(length: int, nullable: bool = True) -> DataType:
        """Text of at most `length` characters."""
        return DataType("VARCHAR", nullable, length=length)

    @staticmethod
    def STRING(nullable: bool = True) -> DataType:
        """Text: VARCHAR(2147483647)."""
        return DataType("VARCHAR", nullable, length=MAX_LENGTH)

    @staticmethod
    def BOOLEAN(nullable: bool = True) -> DataType:
        """True or false."""
        return DataType("BOOLEAN", nullable)

    @staticmethod
    def BINARY(length: int, nullable: bool = True) -> DataType:
        """A fixed number of bytes."""
        return DataType("BINARY", nullable, length=length)

    @staticmethod
    def VARBINARY(length: int, nullable: bool = True) -> DataType:
        """At most `length` bytes."""
        return DataType("VARBINARY", nullable, length=length)

    @staticmethod
    def BYTES(nullable: bool = True) -> DataType:
        """Bytes: VARBINARY(2147483647)."""
        return DataType("VARBINARY", nullable, length=MAX_LENGTH)

    @staticmethod
    def DECIMAL(precision: int, scale: int, nullable: bool = True) -> DataType:
        """A decimal number of `precision` digits, `scale` of them behind the point."""
        return DataType("DECIMAL", nullable, precision=precision, scale=scale)

    @staticmethod
    def TINYINT(nullable: bool = True) -> DataType:
        """A whole number of 8 bits."""
        return DataType("TINYINT", nullable)

    @staticmethod
    def SMALLINT(nullable: bool = True) -> DataType:
        """A whole number of 16 bits."""
        return DataType("SMALLINT", nullable)

    @staticmethod
    def INT(nullable: bool = True) -> DataType:
        """A whole number of 32 bits."""
        return DataType("INT", nullable)

    @staticmethod
    def BIGINT(nullable: bool = True) -> DataType:
        """A whole number of 64 bits."""
        return DataType("BIGINT", nullable)

    @staticmethod
    def FLOAT(nullable: bool = True) -> DataType:
        """A floating-point number of 32 bits."""
        return DataType("FLOAT", nullable)

    @staticmethod
    def DOUBLE(nullable: bool = True) -> DataType:
        """A floating-point number of 64 bits."""
        return DataType("DOUBLE", nullable)

    @staticmethod
    def DATE(nullable: bool = True) -> DataType:
        """A calendar day."""
        return DataType("DATE", nullable)

    @staticmethod
    def TIME(precision: int = TIME_DIGITS, nullable: bool = True) -> DataType:
        """A time of day, with 0 to 9 digits of a second; milliseconds unless said otherwise."""
        return DataType("TIME", nullable, precision=precision)

    @staticmethod
    def TIMESTAMP(precision: int = 6, nullable: bool = True) -> DataType:
        """A date and time without zone."""
        return DataType("TIMESTAMP", nullable, precision=precision)

    @staticmethod
    def TIMESTAMP_LTZ(precision: int = 6, nullable: bool = True) -> DataType:
        """A point in time."""
        return DataType("TIMESTAMP_LTZ", nullable, precision=precision)

    @staticmethod
    def TIMESTAMP_WITH_LOCAL_TIME_ZONE(precision: int = 6, nullable: bool = True) -> DataType:
        """A point in time: TIMESTAMP_LTZ."""
        return DataType("TIMESTAMP_LTZ", nullable, precision=precision)

    @staticmethod
    def ARRAY(element_type: TypeLike, nullable: bool = True) -> DataType:
        """A list."""
        return DataType("ARRAY", nullable, element=_type("ARRAY", element_type))

    @staticmethod
    def MULTISET(element_type: TypeLike, nullable: bool = True) -> DataType:
        """A bag: elements and how often each occurs."""
        return DataType("MULTISET", nullable, element=_type("MULTISET", element_type))

    @staticmethod
    def MAP(key_type: TypeLike, value_type: TypeLike, nullable: bool = True) -> DataType:
        """A dict."""
        return DataType("MAP", nullable, key=_type("MAP", key_type), element=_type("MAP", value_type))

    @staticmethod
    def FIELD(name: str, data_type: TypeLike, description: str | None = None) -> Field:
        """A field of a ROW."""
        return Field(name, _type(f"field {name!r}", data_type), description)

    @staticmethod
    def ROW(row_fields: Sequence[Field | TypeLike] = (), nullable: bool = True) -> DataType:
        """A Row of fields. A bare type gets the name `f0`, `f1`, ... of its position."""
        fields = []
        for index, field in enumerate(row_fields):
            fields.append(field if isinstance(field, Field) else Field(f"f{index}", _type("ROW", field)))
        return DataType("ROW", nullable, fields=fields)

    @staticmethod
    def INTERVAL(
        upper_resolution: Resolution, lower_resolution: Resolution | None = None, nullable: bool = True
    ) -> DataType:
        """A span of years and months, or of days and time. The units' own precision is not kept."""
        lower = lower_resolution or upper_resolution
        return DataType(interval_root(upper_resolution.unit, lower.unit), nullable)

    @staticmethod
    def YEAR(precision: int = 2) -> Resolution:
        """Unit of an INTERVAL."""
        return Resolution("YEAR", precision)

    @staticmethod
    def MONTH() -> Resolution:
        """Unit of an INTERVAL."""
        return Resolution("MONTH")

    @staticmethod
    def DAY(precision: int = 2) -> Resolution:
        """Unit of an INTERVAL."""
        return Resolution("DAY", precision)

    @staticmethod
    def HOUR() -> Resolution:
        """Unit of an INTERVAL."""
        return Resolution("HOUR")

    @staticmethod
    def MINUTE() -> Resolution:
        """Unit of an INTERVAL."""
        return Resolution("MINUTE")

    @staticmethod
    def SECOND(precision: int = 6) -> Resolution:
        """Unit of an INTERVAL."""
        return Resolution("SECOND", precision)

    @staticmethod
    def LIST_VIEW(element_type: TypeLike) -> DataType:
        """A list kept in state; a field of an accumulator only."""
        return DataType("LIST_VIEW", element=_type("LIST_VIEW", element_type))

    @staticmethod
    def MAP_VIEW(key_type: TypeLike, value_type: TypeLike) -> DataType:
        """A map kept in state; a field of an accumulator only."""
        return DataType("MAP_VIEW", key=_type("MAP_VIEW", key_type), element=_type("MAP_VIEW", value_type))


def _type(root: str, part: object) -> DataType:
    if isinstance(part, DataType):
        return part
    from .coerce import data_type

    return data_type(part, f"{root}: its part")
