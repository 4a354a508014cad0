"""Built-in functions that are Python functions as methods of expressions, under PyFlink's names."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .expression import Expression


def _given(*arguments: Any, defaults: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """The arguments up to the last that was given, with defaults in place of those before it that were left out."""
    given = [argument is not None for argument in arguments]
    count = len(given) - given[::-1].index(True) if True in given else 0
    return tuple(a if was_given else defaults[i] for i, (a, was_given) in enumerate(zip(arguments[:count], given)))


class PythonMethods:
    """What every expression can be asked for; `udfleet.table.expression.Expression` has them."""

    __slots__ = ()

    def _python(self, name: str, *arguments: Any) -> Expression:
        """The call of a Python function with this and further arguments."""
        from .expression import BuiltinCall

        return BuiltinCall(name, (self, *arguments))

    @property
    def init_cap(self) -> Expression:
        """Each word with a capital letter and small ones behind it."""
        return self._python("initcap")

    @property
    def ascii(self) -> Expression:
        """The number of the first character."""
        return self._python("ascii")

    @property
    def chr(self) -> Expression:
        """The character of that number."""
        return self._python("chr")

    @property
    def hex(self) -> Expression:
        """A text's bytes, or a whole number, in hexadecimal digits."""
        return self._python("hex")

    @property
    def bin(self) -> Expression:
        """A whole number in binary digits."""
        return self._python("bin")

    @property
    def to_base64(self) -> Expression:
        """The text as base64."""
        return self._python("to_base64")

    @property
    def from_base64(self) -> Expression:
        """The text that a base64 text stands for."""
        return self._python("from_base64")

    @property
    def md5(self) -> Expression:
        """The MD5 hash, as hexadecimal digits."""
        return self._python("md5")

    @property
    def sha1(self) -> Expression:
        """The SHA-1 hash, as hexadecimal digits."""
        return self._python("sha1")

    @property
    def sha224(self) -> Expression:
        """The SHA-224 hash, as hexadecimal digits."""
        return self._python("sha224")

    @property
    def sha256(self) -> Expression:
        """The SHA-256 hash, as hexadecimal digits."""
        return self._python("sha256")

    @property
    def sha384(self) -> Expression:
        """The SHA-384 hash, as hexadecimal digits."""
        return self._python("sha384")

    @property
    def sha512(self) -> Expression:
        """The SHA-512 hash, as hexadecimal digits."""
        return self._python("sha512")

    def json_quote(self) -> Expression:
        """The text as a string of JSON."""
        return self._python("json_quote")

    def json_unquote(self) -> Expression:
        """The text that a string of JSON stands for."""
        return self._python("json_unquote")

    @property
    def cardinality(self) -> Expression:
        """How many elements an array or a map has."""
        return self._python("cardinality")

    @property
    def element(self) -> Expression:
        """The only element of an array; null of an empty one."""
        return self._python("element")

    def array_distinct(self) -> Expression:
        """Each different element once."""
        return self._python("array_distinct")

    def array_reverse(self) -> Expression:
        """The elements backwards."""
        return self._python("array_reverse")

    def array_max(self) -> Expression:
        """The greatest element that is not null."""
        return self._python("array_max")

    def array_min(self) -> Expression:
        """The least element that is not null."""
        return self._python("array_min")

    @property
    def map_keys(self) -> Expression:
        """The keys of a map."""
        return self._python("map_keys")

    @property
    def map_values(self) -> Expression:
        """The values of a map."""
        return self._python("map_values")

    def regexp(self, pattern: Any) -> Expression:
        """Whether a part of the text matches a regular expression."""
        return self._python("regexp", pattern)

    def regexp_count(self, pattern: Any) -> Expression:
        """How often it matches."""
        return self._python("regexp_count", pattern)

    def regexp_extract(self, pattern: Any, group: Any = None) -> Expression:
        """A group of the first match, 0 (the default) for all of it; null where there is none."""
        return self._python("regexp_extract", pattern, *_given(group))

    def regexp_extract_all(self, pattern: Any, group: Any = None) -> Expression:
        """A group of each match, 1 unless said otherwise, 0 for all of it: an ARRAY."""
        return self._python("regexp_extract_all", pattern, *_given(group))

    def regexp_instr(self, pattern: Any) -> Expression:
        """Where the first match begins, from 1; 0 where there is none."""
        return self._python("regexp_instr", pattern)

    def regexp_substr(self, pattern: Any) -> Expression:
        """The first match; null where there is none."""
        return self._python("regexp_substr", pattern)

    def regexp_replace(self, pattern: Any, replacement: Any) -> Expression:
        """With each match replaced; `$1` is a group of it."""
        return self._python("regexp_replace", pattern, replacement)

    def similar(self, pattern: Any) -> Expression:
        """Whether all of the text matches a pattern of SQL's SIMILAR TO."""
        return self._python("similar", pattern)

    def split_index(self, separator: Any, index: Any) -> Expression:
        """A part between separators, from 0; null where there is none."""
        return self._python("split_index", separator, index)

    def split(self, separator: Any) -> Expression:
        """The parts between separators: an ARRAY."""
        return self._python("split", separator)

    def translate(self, characters: Any, others: Any) -> Expression:
        """Each of the characters replaced by the one at its place among the others."""
        return self._python("translate", characters, others)

    def sha2(self, bits: Any) -> Expression:
        """The SHA-2 hash of 224, 256, 384 or 512 bits."""
        return self._python("sha2", bits)

    def json_exists(self, path: Any) -> Expression:
        """Whether a path, such as `$.a[0]`, leads to a value of a JSON text."""
        return self._python("json_exists", path)

    def json_value(self, path: Any) -> Expression:
        """The text, number or truth value that a path leads to, as text."""
        return self._python("json_value", path)

    def json_query(self, path: Any) -> Expression:
        """The object or array that a path leads to, as JSON."""
        return self._python("json_query", path)

    def at(self, key: Any) -> Expression:
        """The element at a position of an array, from 1, or of a key of a map; null where there is none."""
        return self._python("element_at", key)

    def array_contains(self, value: Any) -> Expression:
        """Whether an element is that."""
        return self._python("array_contains", value)

    def array_position(self, value: Any) -> Expression:
        """Where the element first is, from 1; 0 where it is not."""
        return self._python("array_position", value)

    def array_append(self, value: Any) -> Expression:
        """With a further element at the end."""
        return self._python("array_append", value)

    def array_prepend(self, value: Any) -> Expression:
        """With a further element at the start."""
        return self._python("array_prepend", value)

    def array_remove(self, value: Any) -> Expression:
        """Without the elements that are that."""
        return self._python("array_remove", value)

    def array_concat(self, *arrays: Any) -> Expression:
        """The elements of all arrays."""
        return self._python("array_concat", *arrays)

    def array_union(self, array: Any) -> Expression:
        """Each different element of both arrays once."""
        return self._python("array_union", array)

    def array_intersect(self, array: Any) -> Expression:
        """Each different element that both arrays have."""
        return self._python("array_intersect", array)

    def array_except(self, array: Any) -> Expression:
        """Each different element that the other array does not have."""
        return self._python("array_except", array)

    def array_slice(self, start: Any, end: Any = None) -> Expression:
        """The elements from a position to another, both included: from 1, negative ones from the end."""
        return self._python("array_slice", start, *_given(end))

    def array_sort(self, ascending: Any = None, nulls_first: Any = None) -> Expression:
        """The elements in order, nulls first where it is ascending."""
        return self._python("array_sort", *_given(ascending, nulls_first, defaults=(True,)))

    def array_join(self, separator: Any, null_text: Any = None) -> Expression:
        """The texts with a separator between them."""
        return self._python("array_join", separator, *_given(null_text))

    def map_union(self, *maps: Any) -> Expression:
        """The entries of all maps."""
        return self._python("map_union", *maps)

    def is_json(self) -> Expression:
        """Whether the text is JSON."""
        return self._python("is_json")

    @property
    def unhex(self) -> Expression:
        """The bytes of hexadecimal digits."""
        return self._python("unhex")

    def decode(self, charset: Any) -> Expression:
        """The text that bytes of a character set stand for."""
        return self._python("decode", charset)

    def encode(self, charset: Any) -> Expression:
        """The text in bytes of a character set."""
        return self._python("encode", charset)

    @property
    def url_encode(self) -> Expression:
        """The text as a part of a form in a URL."""
        return self._python("url_encode")

    @property
    def url_decode(self) -> Expression:
        """The text that a part of a form in a URL stands for."""
        return self._python("url_decode")

    def parse_url(self, part: Any, key: Any = None) -> Expression:
        """A part of a URL, such as HOST or QUERY; with a key its value in the query."""
        return self._python("parse_url", part, *_given(key))

    def elt(self, first: Any, *others: Any) -> Expression:
        """The value at this position, from 1; null where there is none."""
        return self._python("elt", first, *others)

    def str_to_map(self, separator: Any = None, middle: Any = None) -> Expression:
        """A MAP of pairs in a text, as in `a=1,b=2`."""
        return self._python("str_to_map", *_given(separator, middle, defaults=(",",)))

    def truncate(self, places: Any = 0) -> Expression:
        """Without the decimal places behind those."""
        return self._python("truncate", places)

    def printf(self, *values: Any) -> Expression:
        """Values by this format, of Java's `Formatter`."""
        return self._python("printf", *values)

    def inet_aton(self) -> Expression:
        """The number of an IPv4 address."""
        return self._python("inet_aton")

    def inet_ntoa(self) -> Expression:
        """The IPv4 address of a number."""
        return self._python("inet_ntoa")

    @property
    def is_valid_utf8(self) -> Expression:
        """Whether the bytes are UTF-8."""
        return self._python("is_valid_utf8")

    @property
    def make_valid_utf8(self) -> Expression:
        """The text of the bytes, with U+FFFD in place of what is not UTF-8."""
        return self._python("make_valid_utf8")

    @property
    def map_entries(self) -> Expression:
        """Rows of key and value: an ARRAY."""
        return self._python("map_entries")
