"""Built-in functions that are Python functions, as Flink has them, called here."""

from __future__ import annotations

import datetime
import math

import pytest

from udfleet.table.python_functions import arrays, json_values, patterns, texts, times

NAN = math.nan
DEEP = "[" * 100_000 + "]" * 100_000


def test_json_that_is_nested_too_deeply_is_none():
    assert json_values.is_json(DEEP) is False
    assert json_values.json_exists(DEEP, "$") is False
    assert json_values.json_value(DEEP, "$[0]") is json_values.json_query(DEEP, "$") is None
    assert json_values.json_unquote(DEEP) == DEEP


@pytest.mark.parametrize("depth", [300, 500, 900, 990, 2_000, 5_000])
def test_what_json_is_read_is_written_or_null(depth):
    text = "[" * depth + "]" * depth
    assert json_values.json_query(text, "$") in (text, None)


def test_a_year_of_two_digits_is_of_this_century():
    assert times.to_date("31.12.19", "dd.MM.yy") == datetime.date(2019, 12, 31)
    assert times.to_date("191231", "yyMMdd") == datetime.date(2019, 12, 31)
    assert times.to_date("0019-12-31", "yyyy-MM-dd") == datetime.date(19, 12, 31)
    assert times.date_format(times.to_date("20", "yy"), "yy") == "20"
    with pytest.raises(ValueError, match="does not read like"):
        times.to_date("2019", "yy")


def test_nan_is_the_greatest_number():
    assert str(arrays.array_sort([NAN, 1.0, None, -math.inf, math.inf])) == "[None, -inf, 1.0, inf, nan]"
    assert str(arrays.array_sort([1.0, NAN, 2.0], False)) == "[nan, 2.0, 1.0]"
    assert math.isnan(arrays.array_max([1.0, NAN, 2.0])) and math.isnan(arrays.array_max([NAN, 1.0]))
    assert arrays.array_min([NAN, 1.0, 2.0]) == 1.0
    assert arrays.array_max(["a", "b"]) == "b" and arrays.array_min([[2], [1]]) == [1]


URL = "HTTP://me:pw@Example.ORG:80/A/b?k=a%20b+c&K=2#r"


@pytest.mark.parametrize(
    ("part", "expected"),
    [("HOST", "Example.ORG"), ("PATH", "/A/b"), ("QUERY", "k=a%20b+c&K=2"), ("REF", "r"), ("PROTOCOL", "http"),
     ("FILE", "/A/b?k=a%20b+c&K=2"), ("AUTHORITY", "me:pw@Example.ORG:80"), ("USERINFO", "me:pw")],
)  # fmt: skip
def test_parts_of_a_url_are_as_they_are_written(part, expected):
    assert texts.parse_url(URL, part) == expected


def test_values_in_a_url_s_query():
    assert texts.parse_url(URL, "QUERY", "k") == "a%20b+c"
    assert texts.parse_url(URL, "QUERY", "K") == "2"
    assert texts.parse_url(URL, "QUERY", "b") is texts.parse_url(URL, "HOST", "k") is None
    assert texts.parse_url("http://h?a=&b", "QUERY", "a") == ""


def test_parts_that_a_url_does_not_have():
    for part in ("QUERY", "REF", "USERINFO"):
        assert texts.parse_url("http://[::1]:8/", part) is None
    assert texts.parse_url("http://[::1]:8/", "HOST") == "[::1]"
    assert texts.parse_url("http://h", "PATH") == ""


@pytest.mark.parametrize(
    "text", ["", "x", "example.org/a", "//h/p", "http//h", "what://h/p", "http://h:port/", "1http://h"]
)
def test_what_is_no_url_has_no_parts(text):
    assert texts.parse_url(text, "HOST") is texts.parse_url(text, "QUERY", "k") is None


def test_forms_in_urls():
    assert texts.url_encode("a ~b*-._ü") == "a+%7Eb*-._%C3%BC"
    assert texts.url_decode("a+%7Eb%C3%BC") == "a ~bü"
    for text in ("%", "a%2", "%zz", "%2gx", "50% of"):
        assert texts.url_decode(text) is None
    assert texts.url_decode("%FF") == "\ufffd"


@pytest.mark.parametrize(
    ("charset", "data"),
    [("US-ASCII", b"?a"), ("ISO-8859-1", b"\xfca"), ("utf-8", b"\xc3\xbca"), ("UTF-16BE", b"\0\xfc\0a"),
     ("UTF-16LE", b"\xfc\0a\0"), ("UTF-16", b"\xfe\xff\0\xfc\0a")],
)  # fmt: skip
def test_character_sets(charset, data):
    assert texts.encode("üa", charset) == data
    assert texts.decode(data, charset) == ("?a" if charset == "US-ASCII" else "üa")


def test_byte_orders_of_utf_16():
    assert texts.decode(b"\xff\xfe\xfc\0", "UTF-16") == texts.decode(b"\0\xfc", "UTF-16") == "ü"


@pytest.mark.parametrize("charset", ["latin1", "utf8", "cp1252", "rot13", "hex", "zip", "x", "UTF-32"])
def test_no_other_character_sets_are_there(charset):
    with pytest.raises(ValueError, match="character set"):
        texts.encode("a", charset)
    with pytest.raises(ValueError, match="character set"):
        texts.decode(b"a", charset)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("a=1,b=2,,",), {"a": "1", "b": "2"}), ((",a=1",), {"": None, "a": "1"}), (("",), {"": None}), ((",",), {}),
     (("a=1;b=2|c=3", "(;|\\|)"), {"a": "1", "b": "2", "c": "3"}), (("a:=1,b:=2", ",", "(:)(=)"), {"a": "1", "b": "2"}),
     (("a=",), {"a": ""}), (("a=1=2",), {"a": "1=2"}), (("ab", ""), {"a": None, "b": None})],
)  # fmt: skip
def test_maps_of_texts(arguments, expected):
    assert texts.str_to_map(*arguments) == expected


ELEVEN = "(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)"


@pytest.mark.parametrize(
    ("text", "pattern", "replacement", "expected"),
    [("abcdefghijk", ELEVEN, "$11", "k"), ("abcdefghijk", ELEVEN, "$12", "a2"), ("abcdefghijk", ELEVEN, "$110", "k0"),
     ("ab", "(a)(b)", "$20", "b0"), ("ab", "(a)b", "<$0>", "<ab>"), ("ab", "(?P<n1>a)b", "${n1}2", "a2"), ("ab", "a", "$01", "ab")],
)  # fmt: skip
def test_groups_in_replacements(text, pattern, replacement, expected):
    expected = "a1b" if replacement == "$01" else expected
    assert patterns.regexp_replace(text, pattern, replacement) == expected


@pytest.mark.parametrize("replacement", ["$2", "$29", "${1}", "${no}", "$"])
def test_groups_that_there_are_not(replacement):
    with pytest.raises(ValueError, match=r"no replacement|no such group"):
        patterns.regexp_replace("a", "(a)", replacement)
