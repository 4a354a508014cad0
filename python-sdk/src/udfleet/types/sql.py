"""Types from SQL text."""

from __future__ import annotations

import re

from .datatype import MAX_LENGTH, TIME_DIGITS, DataType, Field, interval_root

_TOKEN = re.compile(r"\s*(?:(`(?:[^`]|``)*`)|('(?:[^']|'')*')|(\d+)|([^\W\d]\w*)|([<>(),]))", re.UNICODE)
# Names of other engines and of Arrow stand beside PyFlink's where they mean one thing only.
_PLAIN = {
    "NULL": "NULL", "BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT", "INT2": "SMALLINT", "INT16": "SMALLINT",
    "INT": "INT", "INTEGER": "INT", "INT4": "INT", "INT32": "INT", "BIGINT": "BIGINT", "INT64": "BIGINT",
    "FLOAT": "FLOAT", "REAL": "FLOAT", "FLOAT4": "FLOAT", "FLOAT32": "FLOAT",
    "DOUBLE": "DOUBLE", "FLOAT8": "DOUBLE", "FLOAT64": "DOUBLE", "DATE": "DATE", "DATE32": "DATE",
}  # fmt: skip
_STRINGS = frozenset({"STRING", "TEXT", "STR", "UTF8", "LARGE_STRING", "STRING_VIEW"})
_BYTES = frozenset({"BYTES", "BYTEA", "BLOB", "LARGE_BINARY", "BINARY_VIEW"})
_UNCLEAR = {
    "INT8": "it has 8 bits in Arrow and 8 bytes in PostgreSQL: write TINYINT or BIGINT",
    "UINT8": "types are signed: write SMALLINT",
    "UINT16": "types are signed: write INT",
    "UINT32": "types are signed: write BIGINT",
    "UINT64": "types are signed: write DECIMAL(20, 0)",
}
_TEMPORAL = {
    "TIME": "TIME", "TIMESTAMP": "TIMESTAMP", "DATETIME": "TIMESTAMP",
    "TIMESTAMP_LTZ": "TIMESTAMP_LTZ", "TIMESTAMPTZ": "TIMESTAMP_LTZ",
}  # fmt: skip
_TEXT = {"CHAR": "CHAR", "CHARACTER": "CHAR", "VARCHAR": "VARCHAR", "BINARY": "BINARY", "VARBINARY": "VARBINARY"}
_UNITS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
_MAX_DEPTH = 64


def parse(sql: str) -> DataType:
    """The type that the text names; ValueError says where the text goes wrong."""
    if not isinstance(sql, str):
        raise TypeError(f"a type must be SQL text, not {sql!r}")
    parser = _Parser(sql)
    result = parser.type()
    parser.end()
    return result


class _Parser:
    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.depth = 0
        self.tokens: list[tuple[str, int]] = []
        position = 0
        while sql[position:].strip():
            match = _TOKEN.match(sql, position)
            if match is None:
                raise self.error("a type", position)
            self.tokens.append((match.group().strip(), match.start()))
            position = match.end()
        self.at = 0

    def error(self, expected: str, position: int | None = None) -> ValueError:
        if position is None:
            position = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.sql)
        found = self.sql[position:].strip()
        return ValueError(f"type {self.sql!r}: expected {expected} at {found[:20]!r}" if found else
                          f"type {self.sql!r}: expected {expected} at the end")  # fmt: skip

    def peek(self) -> str:
        return self.tokens[self.at][0].upper() if self.at < len(self.tokens) else ""

    def take(self, *words: str) -> bool:
        """Consumes the words when all of them come next."""
        following = [token.upper() for token, _ in self.tokens[self.at : self.at + len(words)]]
        if following != list(words):
            return False
        self.at += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise self.error(repr(word))

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise self.error("the end")

    def type(self) -> DataType:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError(f"a type is nested deeper than {_MAX_DEPTH} levels")
        result = self.nullability(self.base())
        while self.peek() in ("ARRAY", "MULTISET"):
            root = self.peek()
            self.at += 1
            result = self.nullability(DataType(root, element=result))
        self.depth -= 1
        return result

    def nullability(self, plain: DataType) -> DataType:
        if self.take("NOT", "NULL"):
            return plain.not_null()
        self.take("NULL")
        return plain

    def base(self) -> DataType:
        word = self.peek()
        if not word:
            raise self.error("a type")
        self.at += 1
        if word in _PLAIN:
            if word == "DOUBLE":
                self.take("PRECISION")
            return DataType(_PLAIN[word])
        if word in _TEXT:
            return self.sized(word)
        if word in _STRINGS or word in _BYTES:
            return DataType("VARCHAR" if word in _STRINGS else "VARBINARY", length=MAX_LENGTH)
        if word in _UNCLEAR:
            raise ValueError(f"type {self.sql!r}: {word} is unclear: {_UNCLEAR[word]}")
        if word in ("DECIMAL", "DEC", "NUMERIC"):
            precision, scale = self.numbers(10, 0)
            return DataType("DECIMAL", precision=precision, scale=scale)
        if word in _TEMPORAL:
            return self.temporal(_TEMPORAL[word])
        if word == "INTERVAL":
            return self.interval()
        if word in ("ARRAY", "MULTISET", "MAP", "ROW"):
            return self.nested(word)
        self.at -= 1
        raise self.error("a type")

    def sized(self, word: str) -> DataType:
        """VARCHAR without a length has no bound, as in most engines; CHAR, which mean one character there, needs it."""
        root = _TEXT[word]
        if self.take("VARYING"):
            root = f"VAR{root}"
        length = self.numbers(0)[0] if self.peek() == "(" else MAX_LENGTH if root.startswith("VAR") else 0
        if not length and self.tokens[self.at - 1][0] != ")":
            unbounded = "STRING" if root == "CHAR" else "BYTES"
            raise ValueError(f"type {self.sql!r}: {root} needs a length, as in {root}(1); {unbounded} takes any length")
        return DataType(root, length=length)

    def numbers(self, *defaults: int) -> list[int]:
        """`(1, 2)`, or the defaults for what is missing."""
        given: list[int] = []
        if self.take("("):
            while True:
                if not self.peek().isdigit():
                    raise self.error("a number")
                given.append(int(self.peek()))
                self.at += 1
                if len(given) == len(defaults) or not self.take(","):
                    break
            self.expect(")")
        return [*given, *defaults[len(given) :]]

    def temporal(self, word: str) -> DataType:
        (precision,) = self.numbers(TIME_DIGITS if word == "TIME" else 6)
        if word == "TIMESTAMP" and self.take("WITH", "LOCAL", "TIME", "ZONE"):
            word = "TIMESTAMP_LTZ"
        elif word != "TIMESTAMP_LTZ":
            self.take("WITHOUT", "TIME", "ZONE")
        return DataType(word, precision=precision)

    def interval(self) -> DataType:
        upper = lower = self.unit()
        if self.take("TO"):
            lower = self.unit()
        return DataType(interval_root(upper, lower))

    def unit(self) -> str:
        unit = self.peek()
        if unit not in _UNITS:
            raise self.error("one of " + ", ".join(_UNITS))
        self.at += 1
        self.numbers(0)
        return unit

    def nested(self, word: str) -> DataType:
        closing = ">"
        if not self.take("<"):
            if word != "ROW" or not self.take("("):
                raise self.error("'<'")
            closing = ")"
        if word == "ROW":
            return self.row(closing)
        first = self.type()
        if word == "MAP":
            self.expect(",")
            result = DataType("MAP", key=first, element=self.type())
        else:
            result = DataType(word, element=first)
        self.expect(closing)
        return result

    def row(self, closing: str) -> DataType:
        fields: list[Field] = []
        while not self.take(closing):
            if fields:
                self.expect(",")
            name = self.tokens[self.at][0] if self.at < len(self.tokens) else ""
            if name.startswith("`"):
                name = name[1:-1].replace("``", "`")
            elif not (name[:1].isalpha() or name[:1] == "_"):
                raise self.error("a field name")
            self.at += 1
            field_type = self.type()
            comment = self.peek().startswith("'")
            description = self.tokens[self.at][0][1:-1].replace("''", "'") if comment else None
            self.at += comment
            fields.append(Field(name, field_type, description))
        return DataType("ROW", fields=fields)
