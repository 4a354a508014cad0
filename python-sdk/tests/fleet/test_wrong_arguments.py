"""Whatever callers pass in place of what a method takes: an error of udfleet's own with a hint, or Python's TypeError."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING

import udfleet
from udfleet import Environment, udf


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        if name.startswith("__") and name != "__len__":
            return object.__getattribute__(self, name)
        raise AttributeError(name)

    def __repr__(self):
        raise RuntimeError("no repr")


ODD = [
    None, 0, -1, 1.5, math.nan, True, "", "nope", "a b", "\ud800", "\0", "x" * 100_000, b"x", bytearray(b"x"), [], [[]], {}, {"a": 1}, {1: 2},
    (), set(), object(), int, len, lambda: 1, Hostile(), np.array(1), np.array([1, 2]), np.zeros((2, 2)), pd.Series([1]),
    pd.DataFrame({"a": [1]}), pa.array([1]), pa.chunked_array([[1]]), pa.scalar(1), pa.table({"a": [1]}),
    pa.record_batch({"a": [1]}), pa.record_batch({"zzz": ["a"], "y": [1]}), [pa.record_batch({"a": [1]})] * 2, [None], [1, "a"],
    udfleet.DataTypes.INT(), udfleet.Row(1), udfleet.Row(a=1), Environment(), iter([1]), (i for i in range(2)), 10**400, 1j, ...,
]  # fmt: skip


def ways(fleet, odd):
    """Each public method with the odd value in each place."""
    batch = pa.record_batch({"a": [1]})
    declared = udf(lambda a: a, BIGINT, BIGINT)
    yield "call name", lambda: fleet.call(odd, [1])
    yield "call column", lambda: fleet.call("odd_one", odd)
    yield "call second", lambda: fleet.call("odd_two", [1], odd)
    yield "call both", lambda: fleet.call("odd_two", odd, odd)
    yield "call text", lambda: fleet.call("odd_text", odd)
    yield "call any", lambda: fleet.call("odd_any", odd)
    yield "call without", lambda: fleet.call("odd_one")
    yield "call rows", lambda: fleet.call("odd_none", rows=odd)
    yield "call on_error", lambda: fleet.call("odd_one", [1], on_error=odd)
    yield "call handler", lambda: fleet.call("odd_one", [1], progress_handler=odd)
    yield "stream name", lambda: list(fleet.stream(odd, [batch]))
    yield "stream batches", lambda: list(fleet.stream("odd_one", odd))
    yield "stream on_error", lambda: list(fleet.stream("odd_one", [batch], on_error=odd))
    yield "stream handler", lambda: list(fleet.stream("odd_one", [batch], progress_handler=odd))
    yield "exchange name", lambda: fleet.exchange(odd).close()
    yield "register name", lambda: fleet.register_function(odd, declared, timeout=20)
    yield "register function", lambda: fleet.register_function("odd_new", odd)
    yield "register config", lambda: fleet.register_function("odd_new", declared, config=odd)
    yield "register timeout", lambda: fleet.register_function("odd_new", declared, timeout=odd)
    if not callable(odd):
        yield "register on_event", lambda: fleet.register_function("odd_new", declared, on_event=odd)
    yield "register on_error", lambda: fleet.register_function("odd_new", declared, on_error=odd)
    for method in ("function", "drop_function", "drain", "progress", "row_errors", "profile"):
        yield method, lambda method=method: getattr(fleet, method)(odd)
    yield "logs", lambda: list(fleet.logs(odd))
    yield "logs tail", lambda: list(fleet.logs(tail=odd))
    yield "from_elements", lambda: fleet.from_elements(odd)
    yield "from_elements schema", lambda: fleet.from_elements([(1,)], odd)
    yield "from_pandas", lambda: fleet.from_pandas(odd)
    yield "from_pandas schema", lambda: fleet.from_pandas(pd.DataFrame({"a": [1]}), odd)
    yield "from_arrow", lambda: fleet.from_arrow(odd)
    if not callable(odd):
        yield "from_batches", lambda: fleet.from_batches(odd)
    yield "from_batches schema", lambda: fleet.from_batches([batch], odd)
    yield "connect", lambda: udfleet.connect(odd).close()
    yield "connect token", lambda: udfleet.connect(fleet.address, odd).close()
    yield "connect job", lambda: udfleet.connect(fleet.address, fleet.token, odd).close()
    yield "connect parameters", lambda: udfleet.connect(fleet.address, fleet.token, job_parameters=odd).close()
    yield "connect config", lambda: udfleet.connect(fleet.address, fleet.token, config=odd).close()


@pytest.fixture(scope="module")
def registered(fleet):
    fleet.register_function("odd_one", udf(lambda a: a, BIGINT, BIGINT))
    fleet.register_function("odd_two", udf(lambda a, b: a, [BIGINT, BIGINT], BIGINT))
    fleet.register_function("odd_text", udf(lambda a: a, STRING, STRING))
    fleet.register_function("odd_any", udf(lambda a: 1, None, BIGINT))
    fleet.register_function("odd_none", udf(lambda: 1, [], BIGINT))
    return fleet


@pytest.mark.parametrize("number", range(len(ODD)))
def test_only_errors_of_our_own(registered, number):
    wrong = []
    for what, call in ways(registered, ODD[number]):
        try:
            call()
        except udfleet.UdfleetError as error:
            if error.code == "INTERNAL":
                wrong.append((what, error))
        except BaseException as error:
            wrong.append((what, repr(error)))
    assert not wrong, "\n".join(f"{what}: {error}" for what, error in wrong)
    assert registered.call("odd_one", [1]).to_pylist() == [1]
