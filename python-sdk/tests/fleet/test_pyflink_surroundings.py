"""PyFlink's cases of what is around functions: the list of functions, archives, metrics."""

from __future__ import annotations

from fleet_support import BIGINT, eventually
from pyflink_cases import bigint, tuples

import udfleet
from udfleet import ScalarFunction, udf


def test_26_functions_are_listed_and_dropped(fleet):
    for name in ("case26_add", "case26_sub"):
        fleet.register_function(name, bigint(lambda i: i, "general"))
    assert {"case26_add", "case26_sub"} <= {function.name for function in fleet.functions()}
    fleet.drop_function("case26_add")
    names = {function.name for function in fleet.functions()}
    assert "case26_sub" in names and "case26_add" not in names
    fleet.drop_function("case26_sub")


def test_59_archives(fleet, tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "data.txt").write_text("2")

    def add_from_file(i):
        with open("data/data.txt") as file:
            return i + int(file.read())

    environment = udfleet.Environment(archives={"data": folder})
    fleet.register_function("case59", udf(add_from_file, BIGINT, BIGINT), environment=environment)
    assert tuples(fleet.from_elements([1, 2, 3], "a").select("case59(a)")) == [(3,), (4,), (5,)]


class Measured(ScalarFunction):
    def open(self, function_context):
        group = function_context.get_metric_group().add_group("my").add_group("key", "value")
        self.counter, self.meter = group.counter("counter"), group.meter("meter")
        self.distribution = group.distribution("distribution")

    def eval(self, i):
        self.counter.dec(1)
        self.meter.mark_event(i)
        self.distribution.update(10 if i == 1 else 2)
        return i


def test_61_metrics(fleet):
    fleet.register_function("case61", udf(Measured(), BIGINT, BIGINT))
    fleet.call("case61", [1, 2])
    found = eventually("metrics of case61", lambda: {m.name: m for m in fleet.progress("case61").total.metrics})
    assert found["my.key=value.counter"].count == -2 and found["my.key=value.meter"].count == 3
    distribution = found["my.key=value.distribution"]
    assert (distribution.sum, distribution.count, distribution.min, distribution.max) == (12, 2, 2, 10)
