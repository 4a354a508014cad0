"""udf: every call form, and PyFlink's refusals (cases 22 to 28 of its test files)."""

from __future__ import annotations

import functools

import pytest

from udfleet import DataTypes, FunctionContext, ScalarFunction, udf
from udfleet.functions import UserDefinedFunction

BIGINT = DataTypes.BIGINT()


class Add(ScalarFunction):
    def eval(self, a, b):
        return a + b


class Dice(Add):
    def is_deterministic(self):
        return False


class CallableAdd:
    def __call__(self, a, b):
        return a + b


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda a, b: a + b, "<lambda>"),
        (Add(), "Add"),
        (Add, "Add"),
        (CallableAdd(), "CallableAdd"),
        (CallableAdd, "CallableAdd"),
        (functools.partial(lambda a, b: a + b), "partial"),
    ],
)
def test_everything_callable_can_be_declared_and_tried_here(f, name):
    declared = udf(f, input_types=[BIGINT, "BIGINT"], result_type="BIGINT")
    assert declared(1, 2) == 3
    assert (declared.name, declared.input_types, declared.result_type) == (name, [BIGINT, BIGINT], BIGINT)
    assert udf(f, result_type=BIGINT, name="given").name == "given"


def test_decorator_keeps_the_function():
    @udf(input_types=BIGINT, result_type=BIGINT, func_type="pandas")
    def inc(a):
        """Adds one."""
        return a + 1

    assert inc(1) == 2 and inc.func(1) == 2
    assert (inc.name, inc.__doc__, inc.func_type, inc.deterministic) == ("inc", "Adds one.", "pandas", True)
    assert inc.input_types == [BIGINT]
    assert udf(lambda: 1, result_type=BIGINT).input_types is None
    assert udf(lambda: 1, [], BIGINT).input_types == []


def test_determinism():
    assert udf(Dice(), result_type=BIGINT).deterministic is False
    assert udf(lambda: 1, result_type=BIGINT, deterministic=False).deterministic is False
    with pytest.raises(ValueError, match="contradicts"):
        udf(Add(), result_type=BIGINT, deterministic=False)


def test_refusals():
    class NoEval(ScalarFunction):
        pass

    class Other(UserDefinedFunction):
        pass

    class EvalAlone:
        def eval(self, a):
            return a

    async def later(a):
        return a

    for error, match, make in [
        (TypeError, "abstract", NoEval),
        (TypeError, "neither callable", lambda: udf(3, result_type=BIGINT)),
        (
            TypeError,
            "class ScalarFunction or AsyncScalarFunction, not of Other",
            lambda: udf(Other(), result_type=BIGINT),
        ),
        (TypeError, "make it a subclass of ScalarFunction", lambda: udf(EvalAlone, result_type=BIGINT)),
        (TypeError, "result_type is missing", lambda: udf(lambda: 1)),
        (TypeError, "must be a DataType", lambda: udf(lambda: 1, result_type=3)),
        (TypeError, "must be a DataType", lambda: udf(lambda a: 1, input_types=[3], result_type=BIGINT)),
        (ValueError, "func_type must be one of", lambda: udf(lambda: 1, result_type=BIGINT, func_type="x")),
        (ValueError, "func_type must be one of", lambda: udf(result_type=BIGINT, func_type="x")),
        (ValueError, "do not support pandas func_type", lambda: udf(later, result_type=BIGINT, func_type="pandas")),
        (TypeError, "already", lambda: udf(udf(lambda: 1, result_type=BIGINT), result_type=BIGINT)),
    ]:
        with pytest.raises(error, match=match):
            make()


def test_function_context():
    context = FunctionContext(None, {"subtract": "2"})
    assert context.get_job_parameter("subtract", "0") == "2"
    assert context.get_job_parameter("other", "0") == "0"
    with pytest.raises(RuntimeError, match="metrics"):
        context.get_metric_group()
