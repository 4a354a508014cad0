"""Source lines that travel with pickled code."""

from __future__ import annotations

import functools
import json
import linecache
import pickle
from collections import ChainMap
from types import CodeType

import cloudpickle
import pytest

from udfleet import udf
from udfleet._packing import pickling, sources
from udfleet._packing.pickling import pickle_function


def helper(a):
    # A comment of the helper.
    return [b + 0 for b in [a]]


def wrapping(function):
    @functools.wraps(function)
    def inner(*values):
        return function(*values)

    return inner


@wrapping
def decorated(a):
    return helper(
        a,
    )


def unrelated(a):
    return "must stay here"


def lines(function):
    texts = pickle_function(udf(function, result_type="BIGINT"), set()).source_files
    return {name: text.splitlines() for name, text in texts.items()}


def test_lines_of_all_code_that_is_pickled_and_no_others():
    (found,) = [text for name, text in lines(decorated).items() if name == __file__]
    with open(__file__) as file:
        original = file.read().splitlines()
    assert all(line in ("", original[number]) for number, line in enumerate(found)), "at their own numbers"
    for expected in ("    # A comment of the helper.", "        return function(*values)", "@wrapping", "        a,"):
        assert expected in found
    assert not any("must stay here" in line or "import" in line for line in found)


def test_methods_and_lambdas():
    class Shift:
        by = 1

        def __call__(self, a):
            return a + self.by

    assert any("return a + self.by" in line for line in lines(Shift())[__file__])
    assert any("lambda a: a + 7" in line for line in lines(lambda a: a + 7)[__file__])


def test_what_is_pickled_by_name_brings_nothing():
    assert lines(json.dumps) == {}
    assert "dumps" not in str(lines(lambda a: json.dumps(a)).keys())


def test_code_without_source():
    scope: dict = {"__name__": "__main__"}
    exec("def nowhere(a):\n    return a", scope)
    assert lines(scope["nowhere"]) == {}


@pytest.mark.parametrize(("count", "kept"), [(2, 2), (20, 10)])
def test_bounds(monkeypatch, count, kept):
    monkeypatch.setattr(sources, "MAX_BYTES", 10 * 1000)
    functions = []
    for number in range(count):
        name = f"<cell {number:02}>"
        text = f"def f(a):\n    return {'1' * 900}\n"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        scope: dict = {"__name__": "__main__"}
        exec(compile(text, name, "exec"), scope)
        functions.append(scope["f"])
    found = lines(lambda a: [f(a) for f in functions])
    assert len([name for name in found if name.startswith("<cell")]) == kept
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 100)
    assert not [name for name in lines(lambda a: [f(a) for f in functions]) if name.startswith("<cell")]


def _nameless(code):
    """As cloudpickle does it from version 3.1.3 on."""
    make, arguments = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return make, tuple("<dynamic-code>" if part == code.co_filename else part for part in arguments)


@pytest.mark.parametrize("nameless", [False, True])
def test_code_keeps_its_file_and_lines_with_any_cloudpickle(monkeypatch, nameless):
    if nameless:
        table = ChainMap({CodeType: _nameless}, cloudpickle.Pickler.dispatch_table)
        monkeypatch.setattr(pickling._Pickler, "dispatch_table", table, raising=False)
    pickled = pickle_function(udf(lambda a: [helper(b) for b in [a]], result_type="BIGINT"), set())
    function = pickle.loads(pickled.data)
    codes = [function.__code__, *(part for part in function.__code__.co_consts if isinstance(part, CodeType))]
    assert {code.co_filename for code in codes} == {__file__}
    assert function.__code__.co_firstlineno > 1
    assert __file__ in pickled.source_files
