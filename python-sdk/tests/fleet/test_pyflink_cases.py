"""Behaviour cases of PyFlink's own tests, by their number in its collection, in every func_type that they apply to."""

from __future__ import annotations

import datetime
import functools
from decimal import Decimal

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, failure_of

import udfleet
from udfleet import (
    AggregateFunction,
    AsyncScalarFunction,
    DataTypes,
    ListView,
    MapView,
    Row,
    ScalarFunction,
    TableAggregateFunction,
    TableFunction,
    call,
    col,
    lit,
    udaf,
    udf,
    udtaf,
    udtf,
)

KINDS = ["general", "pandas", "arrow"]
T1 = [(1, 2, 3), (2, 5, 6), (3, 1, 9)]
A1 = [(1, 2, 3), (3, 2, 3), (2, 1, 3), (1, 5, 4), (1, 8, 6), (2, 3, 4)]

every_kind = pytest.mark.parametrize("kind", KINDS)


def tuples(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def bigint(f, kind, arrow=None, inputs=1, **options):
    """A function of BIGINTs: Series add up like ints, arrays need pyarrow.compute."""
    f = arrow if kind == "arrow" and arrow else f
    return udf(f, [BIGINT] * inputs, BIGINT, func_type=kind, **options)


def arrow_plus(a, b=1):
    import pyarrow.compute as pc

    return pc.add(a, b)


def arrow_minus_one(a):
    import pyarrow.compute as pc

    return pc.subtract(a, 1)


class SubtractOne(ScalarFunction):
    def eval(self, i):
        return i - 1


class ArrowSubtractOne(ScalarFunction):
    def eval(self, i):
        return arrow_minus_one(i)


class CallablePlus:
    def __call__(self, col):
        return col + 1


class ArrowCallablePlus:
    def __call__(self, col):
        return arrow_plus(col)


def partial_func(col, param):
    return col + param


@every_kind
def test_1_scalars_of_every_form(fleet, kind):
    arrow = kind == "arrow"
    add_one = bigint(lambda i: i + 1, kind, lambda i: arrow_plus(i))
    subtract_one = bigint(ArrowSubtractOne() if arrow else SubtractOne(), kind)
    add = bigint(lambda i, j: i + j, kind, lambda i, j: arrow_plus(i, j), inputs=2)
    callable_plus = bigint(ArrowCallablePlus() if arrow else CallablePlus(), kind)
    partial_plus = bigint(
        functools.partial(arrow_plus, b=1) if arrow else functools.partial(partial_func, param=1), kind
    )
    a, b, c = col("a"), col("b"), col("c")
    table = (
        fleet.from_elements(T1, ["a", "b", "c"])
        .where(add_one(b) <= 3)
        .select(add_one(a), subtract_one(b), add(a, c), callable_plus(a), partial_plus(a), a)
    )
    assert tuples(table) == [(2, 1, 4, 2, 2, 1), (4, 0, 12, 4, 4, 3)]


class SubtractParameter(ScalarFunction):
    def open(self, function_context):
        self.value = int(function_context.get_job_parameter("subtract_value", "1"))

    def eval(self, i):
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.subtract(i, self.value) if isinstance(i, pa.Array) else i - self.value


class SubtractPlain(SubtractParameter):
    def eval(self, i):
        return i - self.value


@every_kind
def test_2_job_parameters(fleet, kind):
    function = bigint(SubtractParameter() if kind == "arrow" else SubtractPlain(), kind)
    with udfleet.connect(fleet.address, fleet.token, job_parameters={"subtract_value": 2}) as client:
        table = client.from_elements(T1, ["a", "b", "c"]).where("b + 1 <= 3").select(function(col("b")))
        assert tuples(table) == [(0,), (-1,)]


@every_kind
def test_6_constants_only(fleet, kind):
    add = bigint(lambda i, j: i + j, kind, lambda i, j: arrow_plus(i, j), inputs=2)
    assert tuples(fleet.from_elements(T1, "a, b, c").select(add(lit(1), 2))) == [(3,)] * 3


def test_8_literals_arrive_as_python_values(fleet):
    given = [
        datetime.date(2018, 3, 11),
        datetime.time(3, 0, 0, 123000),
        datetime.datetime(2018, 3, 11, 3, 0, 0, 123000),
        Decimal("1000000000000000000.05"),
        True,
        b"x",
        "text",
        1.5,
    ]
    shown = udf(lambda *values: repr(list(values)), None, STRING)
    table = fleet.from_elements([(1,)], ["a"]).select(shown(*map(lit, given)))
    assert tuples(table) == [(repr(given),)]


class Opened(ScalarFunction):
    def open(self, function_context):
        self.subtract = 1

    def eval(self, i):
        return i - self.subtract


class ArrowOpened(Opened):
    def eval(self, i):
        return arrow_plus(i, -self.subtract)


@every_kind
def test_10_open_runs_before_the_first_row(fleet, kind):
    function = bigint(ArrowOpened() if kind == "arrow" else Opened(), kind)
    table = fleet.from_elements([(1, 2), (2, 5), (3, 4)], ["a", "b"]).select(col("a"), function(col("b")))
    assert tuples(table) == [(1, 1), (2, 4), (3, 3)]


def test_11_functions_without_arguments(fleet):
    one = udf(lambda: 1, [], BIGINT, deterministic=True)
    two = udf(lambda: 2, [], BIGINT, deterministic=False)
    assert tuples(fleet.from_elements(T1, "a, b, c").select(call(one), call(two))) == [(1, 2)] * 3


IDENTITIES = [
    (12, "BIGINT", None, KINDS),
    (13, "SMALLINT", 32767, KINDS),
    (13, "INT", -2147483648, KINDS),
    (14, "BYTES", b"flink", KINDS),
    (15, "TIME(3)", datetime.time(12, 0, 0, 123000), KINDS),
    (16, "TIMESTAMP(3)", datetime.datetime(2018, 3, 11, 3, 0, 0, 123000), KINDS),
    (16, "TIMESTAMP(6)", datetime.datetime(2245, 3, 11, 3, 0, 0, 123456), KINDS),
    (17, "ARRAY<STRING>", ["hello", "中文", None], ["general", "arrow"]),
    (18, "MAP<BIGINT, STRING>", [(1, "flink"), (2, "pyflink")], ["general", "arrow"]),
    (19, "DECIMAL(38, 18)", Decimal("1000000000000000000.050000000000000000"), KINDS),
    (20, "FLOAT", 1.5, KINDS),
    (21, "BOOLEAN", False, KINDS),
]


@pytest.mark.parametrize(
    ("data_type", "value", "kind"),
    [(data_type, value, kind) for _, data_type, value, kinds in IDENTITIES for kind in kinds],
)
def test_12_to_21_values_pass_unchanged(fleet, data_type, value, kind):
    identity = udf(lambda value: value, data_type, data_type, func_type=kind)
    element = dict(value) if data_type.startswith("MAP") else value
    table = fleet.from_elements([(element,)], f"ROW<v {data_type}>").select(identity(col("v")).alias("v"))
    assert table.to_arrow().to_pylist() == [{"v": value}]


def test_26_functions_are_listed_and_dropped(fleet):
    for name in ("case26_add", "case26_sub"):
        fleet.register_function(name, bigint(lambda i: i, "general"))
    assert {"case26_add", "case26_sub"} <= {function.name for function in fleet.functions()}
    fleet.drop_function("case26_add")
    names = {function.name for function in fleet.functions()}
    assert "case26_sub" in names and "case26_add" not in names
    fleet.drop_function("case26_sub")


def test_27_map_over_whole_rows(fleet):
    inc = udf(lambda row: Row(row.b + 1), result_type="ROW<b BIGINT>")
    table = fleet.from_elements([(42, "x"), (5, "y")], ["b", "s"]).map(inc)
    assert table.to_pylist() == [{"b": 43}, {"b": 6}]
    renamed = udf(lambda row: Row(row[0], row.as_dict()["s"]), result_type="ROW<x BIGINT, y STRING>")
    table = fleet.from_elements([(42, "x")], ["b", "s"]).map(renamed.alias("u", "v"))
    assert table.to_pylist() == [{"u": 42, "v": "x"}]
    frame = udf(lambda df: df.b + df.c, result_type=BIGINT, func_type="pandas")
    assert tuples(fleet.from_elements([(1, 2), (3, 4)], ["b", "c"]).map(frame)) == [(3,), (7,)]


def test_29_kinds_are_mixed_in_one_chain(fleet):
    plus = bigint(lambda i: i + 1, "pandas")
    minus = bigint(lambda i: i - 1, "general")
    add = bigint(lambda i, j: arrow_plus(i, j), "arrow", inputs=2)
    a, b, c = col("a"), col("b"), col("c")
    table = (
        fleet.from_elements([(1, 2, 3), (2, 5, 6), (3, 1, 14)], ["a", "b", "c"])
        .where(plus(b) <= 3)
        .select(a, b + 1, add(a + 1, minus(c)) + 2, add(plus(a), 1))
    )
    assert tuples(table) == [(1, 3, 6, 3), (3, 2, 19, 5)]


def test_30_a_pandas_result_of_another_length(fleet):
    shorter = bigint(lambda i: i[1:], "pandas", name="shorter")
    error = failure_of(udfleet.ResultTypeError, fleet.from_elements([1, 2], "a").select(shorter(col("a"))).to_arrow)
    assert "1" in error.message and "2" in error.message and "shorter" in error.function


def test_32_dtypes_of_pandas_columns(fleet):
    wanted = {
        "TINYINT": "int8", "SMALLINT": "int16", "INT": "int32", "BIGINT": "int64", "FLOAT": "float32",
        "DOUBLE": "float64", "BOOLEAN": "bool",
    }  # fmt: skip
    values = [1, 1, 1, 1, 1.0, 1.0, True]

    def dtypes(*columns):
        import pandas

        return pandas.Series([",".join(str(column.dtype) for column in columns)] * len(columns[0]))

    names = [f"c{index}" for index in range(len(wanted))]
    schema = DataTypes.ROW([DataTypes.FIELD(name, DataTypes.parse(t)) for name, t in zip(names, wanted)])
    shown = udf(dtypes, list(wanted), STRING, func_type="pandas")
    table = fleet.from_elements([tuple(values)], schema).select(shown(*map(col, names)))
    assert tuples(table) == [(",".join(wanted.values()),)]


class MultiEmit(TableFunction):
    def open(self, function_context):
        self.counter = function_context.get_metric_group().counter("counter")

    def eval(self, x, y):
        self.counter.inc(y)
        for i in range(y):
            yield x, i


multi_emit = udtf(MultiEmit(), [BIGINT, BIGINT], [BIGINT, BIGINT])


def test_35_lateral_joins(fleet):
    table = fleet.from_elements([(1, 1, 3), (2, 1, 6), (3, 2, 9)], ["a", "b", "c"])
    for join in ("join_lateral", "left_outer_join_lateral"):
        joined = getattr(table, join)(multi_emit(col("a"), col("b")).alias("x", "y"))
        assert tuples(joined.select("a, x, y")) == [(1, 1, 0), (2, 2, 0), (3, 3, 0), (3, 3, 1)]
    nothing = udtf(lambda x, y: None, [BIGINT, BIGINT], [BIGINT, BIGINT])
    row = col("a"), col("b")
    assert tuples(table.join_lateral(nothing(*row).alias("x", "y"))) == []
    assert tuples(table.left_outer_join_lateral(nothing(*row).alias("x", "y")).select("a, x, y")) == [
        (1, None, None), (2, None, None), (3, None, None),
    ]  # fmt: skip


RESULTS = [
    ("None", lambda x: None, []),
    ("a list", lambda x: [x, x + 1], [1, 2]),
    ("a range", lambda x: range(x), [0]),
    ("a generator", lambda x: (i for i in (x, x)), [1, 1]),
    ("a tuple is one row", lambda x: (x,), [1]),
    ("a Row is one row", lambda x: Row(x), [1]),
    ("a value is one row", lambda x: x, [1]),
]


@pytest.mark.parametrize(("f", "expected"), [case[1:] for case in RESULTS], ids=[case[0] for case in RESULTS])
def test_36_what_table_functions_give(fleet, f, expected):
    table = fleet.from_elements([1], "a").join_lateral(udtf(f, BIGINT, BIGINT)(col("a")).alias("x"))
    assert [row["x"] for row in table.to_pylist()] == expected


def test_37_a_registered_table_function(fleet):
    fleet.register_function("case37_identity", udtf(lambda i: i, BIGINT, BIGINT))
    table = fleet.from_elements([1], "a").join_lateral("case37_identity(a) as (x)")
    assert tuples(table) == [(1, 1)]
    assert fleet.call("case37_identity", [7]).to_pylist() == [{"row": 0, "result": 7}]


def test_38_flat_map(fleet):
    @udtf(result_types=[DataTypes.INT(), DataTypes.INT()])
    def split(row):
        for s in row[1].split(","):
            yield row[0], int(s)

    table = fleet.from_elements([(1, "2,3"), (2, "1"), (1, "5,6,7")], "ROW<a INT, b STRING>").flat_map(split)
    assert tuples(table) == [(1, 2), (1, 3), (2, 1), (1, 5), (1, 6), (1, 7)]
    again = (
        fleet.from_elements([(1, "2,3")], "ROW<a INT, b STRING>")
        .flat_map(split.alias("x", "y"))
        .flat_map(udtf(lambda row: [Row(row.x, row.y)] * row.y, result_types="ROW<x INT, y INT>"))
    )
    assert tuples(again) == [(1, 2)] * 2 + [(1, 3)] * 3


class Sum(AggregateFunction):
    def create_accumulator(self):
        return [0]

    def accumulate(self, accumulator, *args):
        if args[0] is not None:
            accumulator[0] += args[0]

    def merge(self, accumulator, accumulators):
        for other in accumulators:
            accumulator[0] += other[0]

    def get_value(self, accumulator):
        return accumulator[0]


class Count(Sum):
    def accumulate(self, accumulator, *args):
        accumulator[0] += 1


class UnmergedSum(AggregateFunction):
    def create_accumulator(self):
        return [0]

    def accumulate(self, accumulator, value):
        accumulator[0] += value

    def get_value(self, accumulator):
        return accumulator[0]


def aggregate(general, pandas, arrow, kind, result=BIGINT):
    f = {"general": general, "pandas": pandas, "arrow": arrow}[kind]
    return udaf(f, [BIGINT], result, func_type=kind)


def arrow_sum(values):
    import pyarrow.compute as pc

    return pc.sum(values).as_py()


@pytest.mark.parametrize("kind", [*KINDS, "unmerged"])
def test_40_count_and_sum_by_group(fleet, kind):
    general = UnmergedSum() if kind == "unmerged" else Sum()
    kind = "general" if kind == "unmerged" else kind
    total = aggregate(general, lambda values: values.sum(), arrow_sum, kind)
    count = aggregate(Count(), lambda values: len(values), lambda values: len(values), kind)
    table = fleet.from_elements(A1, ["a", "b", "c"])
    a, b = col("a"), col("b")
    first = table.group_by(a).select(a, total(b).alias("s"), count(b).alias("n"))
    assert sorted(tuples(first)) == [(1, 15, 3), (2, 4, 2), (3, 2, 1)]
    second = first.group_by("n").select(col("n"), total(col("s")).alias("s"))
    assert sorted(tuples(second)) == [(1, 2), (2, 4), (3, 15)]
    assert sorted(tuples(table.group_by("a % 2 as odd").select(col("odd"), total(b + 1)))) == [(0, 6), (1, 21)]


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


def test_43_distinct_and_filter(fleet):
    count = udaf(Count(), [STRING], BIGINT)
    table = fleet.from_elements([("hello", "a"), ("hello", "b"), ("hello", "a"), ("hi", "x")], ["k", "v"])
    v = col("v")
    grouped = table.group_by("k").select(
        col("k"), count(v).distinct.alias("d"), count(v), count(v).filter(v != "a").alias("f")
    )
    assert sorted(tuples(grouped)) == [("hello", 2, 3, 1), ("hi", 1, 1, 1)]


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
    assert {**row, "keys": sorted(row["keys"].split(",")), "items": sorted(row["items"].split(","))} == {
        "keys": ["Hi", "Hi2", "Hi3"],
        "vals": row["vals"],
        "items": ["Hi2:2", "Hi3:1", "Hi:3"],
        "n": 3,
    }


class Top2(TableAggregateFunction):
    def create_accumulator(self):
        return [None, None]

    def accumulate(self, accumulator, row):
        if row[0] is not None:
            if accumulator[0] is None or row[0] > accumulator[0]:
                accumulator[1] = accumulator[0]
                accumulator[0] = row[0]
            elif accumulator[1] is None or row[0] > accumulator[1]:
                accumulator[1] = row[0]

    def emit_value(self, accumulator):
        yield Row(accumulator[0])
        if accumulator[1] is not None:
            yield Row(accumulator[1])


class Top2Values(Top2):
    def accumulate(self, accumulator, value):
        super().accumulate(accumulator, [value])


def test_46_table_aggregates(fleet):
    rows = [(1, "Hi"), (3, "Hi"), (7, "Hi2"), (8, "Hi"), (5, "Hi2")]
    table = fleet.from_elements(rows, ["a", "b"])
    top = udtaf(Top2Values(), [BIGINT], BIGINT)
    grouped = table.group_by("b").flat_aggregate(top(col("a")).alias("x")).select("b, x")
    assert sorted(tuples(grouped)) == [("Hi", 3), ("Hi", 8), ("Hi2", 5), ("Hi2", 7)]
    whole = table.select("a").flat_aggregate(udtaf(Top2(), result_type=BIGINT).alias("x"))
    assert tuples(whole) == [(8,), (7,)]


class Min(AggregateFunction):
    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, value):
        accumulator[:] = [min([*accumulator, value])]

    def get_value(self, accumulator):
        return accumulator[0] if accumulator else None


def arrow_min(values):
    import pyarrow.compute as pc

    return pc.min(values).as_py()


@every_kind
def test_52_aggregates_without_keys(fleet, kind):
    least = aggregate(Min(), lambda values: values.min() if len(values) else None, arrow_min, kind)
    a, b, c = col("a"), col("b"), col("c")
    table = fleet.from_elements(A1, "a, b, c")
    assert tuples(table.select(least(a) + least(b) + least(c))) == [(5,)]
    assert tuples(table.where("a > 100").select(least(a).alias("m"))) == [(None,)]
    fleet.register_function(f"case52_{kind}", least)
    assert fleet.call(f"case52_{kind}", [3, 1, 2]).to_pylist() == [1]


class MaxAdd(AggregateFunction):
    def open(self, function_context):
        self.plus = 0

    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, *args):
        accumulator.append(sum(int(arg.max()) for arg in args) + self.plus)

    def get_value(self, accumulator):
        return accumulator[0]


def test_53_pandas_aggregates_as_classes(fleet):
    function = udaf(MaxAdd(), [BIGINT, BIGINT], BIGINT, func_type="pandas")
    grouped = fleet.from_elements(A1, "a, b, c").group_by("a").select(col("a"), function(col("b"), col("c")))
    assert sorted(tuples(grouped)) == [(1, 14), (2, 7), (3, 5)]


class FailsFirst(AsyncScalarFunction):
    def open(self, function_context):
        self.tries = {}

    async def eval(self, a):
        self.tries[a] = self.tries.get(a, 0) + 1
        if self.tries[a] == 1:
            raise ConnectionError("try again")
        return a * 10


def test_56_async_functions_are_tried_again(fleet):
    fleet.register_function("case56", udf(FailsFirst(), BIGINT, BIGINT), config={"udfleet.async.retries": 1})
    assert fleet.call("case56", [1, 2, 3]).to_pylist() == [10, 20, 30]


def test_57_async_and_plain_functions_are_chained(fleet):
    async def prefix(s):
        return f"prefix_{s}"

    async def suffix(s):
        return f"{s}_suffix"

    upper = udf(lambda s: s.upper(), STRING, STRING)
    before, after = udf(prefix, STRING, STRING), udf(suffix, STRING, STRING)
    table = fleet.from_elements(["test"], ["s"]).select(after(upper(before(col("s")))))
    assert tuples(table) == [("PREFIX_TEST_suffix",)]


def test_58_async_timeouts_name_the_row(fleet):
    async def slow(s):
        import asyncio

        await asyncio.sleep(0 if s == "fast" else 60)
        return s

    fleet.register_function("case58", udf(slow, STRING, STRING), config={"udfleet.async.timeout": 100})
    with pytest.raises(udfleet.UdfleetError) as caught:
        fleet.call("case58", ["fast", "slow one"])
    error = caught.value
    assert error.row == 1 and error.function == "case58@1"


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
    from fleet_support import eventually

    fleet.register_function("case61", udf(Measured(), BIGINT, BIGINT))
    fleet.call("case61", [1, 2])
    found = eventually("metrics of case61", lambda: {m.name: m for m in fleet.progress("case61").total.metrics})
    assert found["my.key=value.counter"].count == -2 and found["my.key=value.meter"].count == 3
    distribution = found["my.key=value.distribution"]
    assert (distribution.sum, distribution.count, distribution.min, distribution.max) == (12, 2, 2, 10)


def test_63_arrow_columns_and_literals(fleet):
    def add(*columns):
        import pyarrow as pa
        import pyarrow.compute as pc

        total = functools.reduce(pc.add, columns)
        return pa.chunked_array([total.slice(0, 1), total.slice(1)])

    function = udf(add, [BIGINT] * 3, BIGINT, func_type="arrow")
    table = fleet.from_arrow(pa.table({"a": pa.array([1, None, 3]), "b": [4, 5, 6]}))
    assert [row[0] for row in tuples(table.select(function(lit(10), col("a"), col("b"))))] == [15, None, 19]
