"""PyFlink's cases of accumulators that hold lists and maps."""

from __future__ import annotations

from fleet_support import STRING
from pyflink_cases import tuples

from udfleet import AggregateFunction, DataTypes, ListView, MapView, Row, col, udaf


class Concat(AggregateFunction):
    def get_value(self, accumulator):
        return ",".join(sorted(accumulator[0]))

    def create_accumulator(self):
        return Row(ListView())

    def accumulate(self, accumulator, *args):
        accumulator[0].add(args[0])

    def merge(self, accumulator, accumulators):
        for other in accumulators:
            accumulator[0].add_all(other[0])

    def get_accumulator_type(self):
        return DataTypes.ROW([DataTypes.FIELD("f0", DataTypes.LIST_VIEW(STRING))])

    def get_result_type(self):
        return STRING


def test_41_accumulators_with_lists(fleet):
    table = fleet.from_elements([("Hi", 1), ("hello", 1), ("Hi2", 2)], ["s", "k"])
    assert sorted(tuples(table.group_by("k").select(col("k"), udaf(Concat())(col("s"))))) == [
        (1, "Hi,hello"),
        (2, "Hi2"),
    ]


class CountDistinct(AggregateFunction):
    def get_value(self, accumulator):
        keys, values, items = [], [], []
        for key in accumulator[0].keys():  # noqa: SIM118 - PyFlink's own words
            keys.append(key)
            values.append(str(accumulator[0][key]))
            items.append(f"{key}:{accumulator[0].get(key)}")
        return Row(",".join(keys), ",".join(values), ",".join(items), len(keys))

    def create_accumulator(self):
        return Row(MapView())

    def accumulate(self, accumulator, *args):
        view = accumulator[0]
        view[args[0]] = view[args[0]] + 1 if args[0] in view else 1

    def merge(self, accumulator, accumulators):
        for other in accumulators:
            for key, count in other[0].items():
                accumulator[0].put(key, (accumulator[0].get(key) or 0) + count)


def test_45_accumulators_with_maps(fleet):
    function = udaf(CountDistinct(), [STRING], "ROW<keys STRING, vals STRING, items STRING, n BIGINT>")
    rows = ["Hi3", "Hi2", "Hi2", "Hi", "Hi", "Hi"]
    table = fleet.from_elements(rows, ["s"]).aggregate(function(col("s")))
    (row,) = table.to_pylist()
    assert {name: sorted(row[name].split(",")) for name in ("keys", "vals", "items")} == {
        "keys": ["Hi", "Hi2", "Hi3"],
        "vals": ["1", "2", "3"],
        "items": ["Hi2:2", "Hi3:1", "Hi:3"],
    }
    assert row["n"] == 3
