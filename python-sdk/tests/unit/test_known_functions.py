"""What plans remember of a fleet's functions, and for how long."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from udfleet import DataTypes
from udfleet._client import inline
from udfleet._client.inline import FleetFunctions
from udfleet._flight.directory import ROUTE_SECONDS
from udfleet._proto.udfleet.v1 import plan_pb2
from udfleet.errors import FunctionNotFoundError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(inline.time, "monotonic", lambda: now[0])
    return now


def test_types_of_columns_are_asked_for_again(clock: list[float]) -> None:
    answers = [pa.int64(), pa.string()]
    functions = FleetFunctions(_never, _never, lambda _: pa.schema([("a", answers.pop(0))]))
    first = functions.column_types(plan_pb2.Plan())
    assert functions.column_types(plan_pb2.Plan()) == first == [DataTypes.BIGINT()]
    clock[0] += ROUTE_SECONDS
    assert functions.column_types(plan_pb2.Plan()) == [DataTypes.STRING()]


def test_a_function_that_is_not_there_is_asked_for_once(clock: list[float]) -> None:
    asked: list[str] = []

    def describe(name: str) -> Any:
        asked.append(name)
        raise FunctionNotFoundError(f"no function {name}")

    functions = FleetFunctions(describe, _never, _never)
    assert functions.kind("f") == "" and functions.result_type("f") is None and functions.kind("f") == ""
    assert asked == ["f"]
    clock[0] += ROUTE_SECONDS
    functions.kind("f")
    functions.forget()
    functions.kind("f")
    assert asked == ["f"] * 3
    with pytest.raises(FunctionNotFoundError):
        functions.describe("f")


def _never(_: Any) -> Any:
    raise AssertionError("is not asked")
