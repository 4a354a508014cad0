"""A user function raises: the caller gets its traceback, typed, from where it happened."""

from __future__ import annotations

import linecache
import subprocess
import sys
import textwrap

import pytest
from fleet_support import BIGINT, STRING, failure_of

import udfleet
from udfleet import udf


class UnpicklableError(Exception):
    def __init__(self, number, reason):
        super().__init__(number)
        self.reason = reason
        self.callback = lambda: number

    def __str__(self):
        return f"number refused because {self.reason}"


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no text either")


def look_up(key):
    return {}[key]


def raises(kind):
    if kind == "plain":
        look_up("absent")
    if kind == "unpicklable":
        raise UnpicklableError(7, "it is odd")
    if kind == "from":
        try:
            look_up("absent")
        except KeyError as error:
            raise ValueError("no such entry") from error
    if kind == "while handling":
        try:
            look_up("absent")
        except KeyError:
            raise ValueError("no such entry")  # noqa: B904 - the context is wanted
    if kind == "suppressed":
        try:
            look_up("absent")
        except KeyError:
            raise ValueError("no such entry") from None
    if kind == "group":
        raise ExceptionGroup("two went wrong", [ValueError("one"), TypeError("two")])  # noqa: F821 - a name of 3.11
    if kind == "exit":
        raise SystemExit(4)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "mute":
        raise MuteError
    return 1


@pytest.fixture(scope="module")
def error(fleet):
    """The error that a kind of exception in the second row leads to."""
    view = fleet.register_function("raises", udf(raises, STRING, BIGINT))

    def made(kind: str) -> udfleet.UserCodeError:
        found = failure_of(udfleet.UserCodeError, fleet.call, "raises", ["fine", kind])
        assert (found.code, found.function, found.row) == ("USER_CODE", view.reference, 1)
        assert found.executor in ("executor-1", "executor-2") and not found.retryable
        assert fleet.call("raises", ["fine"]).to_pylist() == [1], "the function goes on working"
        return found

    return made


def test_the_traceback_is_its_own(error):
    found = error("plain")
    assert (found.exception.type, found.exception.message) == ("KeyError", "'absent'")
    assert [frame.function for frame in found.exception.frames] == ["raises", "look_up"]
    assert [frame.source for frame in found.exception.frames] == ['look_up("absent")', "return {}[key]"]
    assert all(frame.file == __file__ for frame in found.exception.frames)
    text = str(found)
    assert text.startswith(f"{found.function}: row 1: KeyError: 'absent' (executor {found.executor})\n")
    line = raises.__code__.co_firstlineno + 2
    assert f'File "{__file__}", line {line}, in raises\n    look_up("absent")\n' in text
    assert found.exception.text.endswith("KeyError: 'absent'\n")


def test_a_class_that_cant_be_pickled(error):
    found = error("unpicklable")
    assert found.exception.type.endswith("UnpicklableError")
    assert found.exception.message == "number refused because it is odd"
    assert 'raise UnpicklableError(7, "it is odd")' in str(found)


@pytest.mark.parametrize(
    ("kind", "explicit", "said"), [("from", True, "direct cause"), ("while handling", False, "During handling")]
)
def test_chains(error, kind, explicit, said):
    exception = error(kind).exception
    assert (exception.type, exception.message) == ("ValueError", "no such entry")
    assert (exception.cause.type, exception.explicit_cause) == ("KeyError", explicit)
    assert exception.cause.frames[-1].source == "return {}[key]"
    text = str(exception)
    assert text.index("KeyError: 'absent'") < text.index(said) < text.index("ValueError: no such entry")


def test_a_suppressed_context_is_not_shown(error):
    assert error("suppressed").exception.cause is None


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_groups(error):
    exception = error("group").exception
    assert exception.type == "ExceptionGroup" and "two went wrong" in exception.message
    assert [(m.type, m.message) for m in exception.group] == [("ValueError", "one"), ("TypeError", "two")]
    assert "ValueError: one" in str(exception) and "TypeError: two" in str(exception)


@pytest.mark.parametrize(
    ("kind", "type_", "text"),
    [
        ("exit", "SystemExit", "4"),
        ("interrupt", "KeyboardInterrupt", ""),
        ("mute", "test_raising.MuteError", "<str() of the exception raised RuntimeError>"),
    ],
)
def test_odd_exceptions(error, kind, type_, text):
    found = error(kind)
    assert (found.exception.type, found.exception.message) == (type_, text)
    assert found.exception.frames[-1].function == "raises"


def test_exiting_is_refused_with_a_hint(error):
    assert error("exit").hint == "a function must not exit its interpreter; raise another exception"


def test_lines_of_code_that_lies_nowhere_on_disk(fleet):
    """As in a notebook: the text of the code is known to this process only."""
    text = "def nowhere(a):\n    limit = 10\n    return a / (a - limit)  # fails at the limit\n"
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(text, "<cell 7>", "exec"), scope)
    linecache.cache["<cell 7>"] = (len(text), None, text.splitlines(keepends=True), "<cell 7>")
    fleet.register_function("nowhere", udf(scope["nowhere"], BIGINT, "DOUBLE"))
    found = failure_of(udfleet.UserCodeError, fleet.call, "nowhere", [1, 2, 10])
    (frame,) = found.exception.frames
    assert (frame.file, frame.line, frame.source) == ("<cell 7>", 3, "return a / (a - limit)  # fails at the limit")
    assert found.row == 2


def test_lines_of_a_script_that_is_gone(fleet, tmp_path):
    """The interpreter can't read the file: the lines have travelled."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, sys, udfleet
            from udfleet import udf

            @udf(input_types="BIGINT", result_type="BIGINT")
            def inverse(a):
                return 1 // a

            with udfleet.connect("{fleet.address}", token=sys.stdin.read()) as fleet:
                fleet.register_function("from_main", inverse)
                os.remove(__file__)
                try:
                    fleet.call("from_main", [0])
                except udfleet.UserCodeError as error:
                    print(error)
            """
        )
    )
    token = fleet.token
    done = subprocess.run([sys.executable, str(script)], input=token, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f'  File "{script}", line 7, in inverse\n    return 1 // a\nZeroDivisionError' in done.stdout


def test_two_functions_of_one_file_both_keep_their_lines(fleet, tmp_path):
    module = tmp_path / "pair.py"
    module.write_text("def first(a):\n    return 1 // a\n\n\ndef second(a):\n    return [][a]\n")
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(module.read_text(), str(module), "exec"), scope)
    linecache.getlines(str(module))
    for name in ("first", "second"):
        fleet.register_function(name, udf(scope[name], BIGINT, BIGINT))
    module.unlink()
    for name, source in (("first", "return 1 // a"), ("second", "return [][a]")):
        found = failure_of(udfleet.UserCodeError, fleet.call, name, [0])
        assert [frame.source for frame in found.exception.frames] == [source]
