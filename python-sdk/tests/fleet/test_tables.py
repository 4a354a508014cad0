"""Tables on real processes: chains, environments, memory, loss of what runs them, errors, progress."""

from __future__ import annotations

import os
import signal

import pyarrow as pa
import pytest
from fleet_support import BIGINT, STRING, Sum, descendants, eventually, failure_of, lines_of

import udfleet
from udfleet import (
    BundleProgressHandler,
    DataTypes,
    Environment,
    Row,
    call,
    col,
    lit,
    udaf,
    udf,
    udtf,
)

add = udf(lambda i, j: i + j, [BIGINT, BIGINT], BIGINT, name="add")
below = udtf(lambda n: range(n), BIGINT, BIGINT, name="below")
parsed = udf(lambda text: int(text), STRING, BIGINT, name="parsed")


class MergingSum(Sum):
    def merge(self, accumulator, accumulators):
        accumulator[0] += sum(other[0] for other in accumulators)


def test_the_same_plan_directly_and_through_the_coordinator(fleet):
    rows = [(n, n % 3, f"{n} {n + 1}") for n in range(1000)]
    words = udtf(lambda text: text.split(), STRING, STRING)

    def run(client):
        return (
            client.from_elements(rows, ["a", "b", "s"])
            .where("b <> 1")
            .select(add(col("a"), 1).alias("x"), col("b"), col("s"))
            .join_lateral(words(col("s")).alias("w"))
            .select("x, b, CAST(w AS BIGINT) + x as y")
            .to_arrow()
        )

    with udfleet.connect(fleet.address, fleet.token, direct=False) as through:
        forwarded = run(through)
    assert run(fleet) == forwarded
    expected = [(a + 1, b, int(w) + a + 1) for a, b, s in rows if b != 1 for w in s.split()]
    assert [tuple(row.values()) for row in forwarded.to_pylist()] == expected


def test_one_row_gives_millions_in_bounded_memory(fleet):
    batches = (pa.record_batch({"n": [1_000_000]}) for _ in range(20))
    table = fleet.from_batches(batches, "ROW<n BIGINT>").join_lateral(below(col("n")).alias("i")).select("i")
    rows = total = most = 0
    before = pa.total_allocated_bytes()
    for batch in table.execute():
        rows += batch.num_rows
        total += pa.compute.sum(batch.column(0)).as_py()
        most = max(most, pa.total_allocated_bytes() - before)
    assert (rows, total) == (20_000_000, 20 * sum(range(1_000_000)))
    assert most < 64 << 20


def test_a_generator_that_nobody_reads_on_is_closed(fleet, tmp_path):
    log = str(tmp_path / "closed")

    @udtf(result_types=BIGINT)
    def endless(n):
        try:
            while True:
                yield n
        finally:
            with open(log, "a") as file:
                file.write("closed\n")

    answers = fleet.from_elements([1], "n").join_lateral(endless(col("n"))).execute()
    assert next(answers).num_rows
    answers.close()
    eventually("the generator is closed", lambda: lines_of(log) == ["closed"])


def test_functions_of_two_environments_are_chained(fleet):
    def version(value):
        import sys

        return f"{value} {sys.version_info.major}.{sys.version_info.minor}"

    here = udf(version, STRING, STRING)
    packaged = udf(lambda value: f"{value} {__import__('six').__name__}", STRING, STRING)
    fleet.register_function("tables_six", packaged, environment=Environment(requirements=["six==1.17.0"]))
    table = fleet.from_elements([("a",), ("b",)], ["s"]).select(call("tables_six", here(col("s"))).alias("x"), col("s"))
    assert "Stage 2 of 2" in table.explain()
    rows = table.to_pylist()
    assert [row["x"].split()[0::2] for row in rows] == [["a", "six"], ["b", "six"]]
    total = udaf(MergingSum(), BIGINT, BIGINT)
    again = table.select(here(col("x")).alias("y")).select(total(lit(1)))
    assert [list(row.values()) for row in again.to_pylist()] == [[2]]


def test_equal_calls_of_deterministic_functions_run_once(fleet, tmp_path):
    def logged(name, deterministic):
        log = str(tmp_path / name)

        def f(a):
            with open(log, "a") as file:
                file.write("x\n")
            return a

        return udf(f, [BIGINT], BIGINT, deterministic=deterministic), log

    once, once_log = logged("once", True)
    often, often_log = logged("often", False)
    a = col("a")
    fleet.from_elements([1, 2], "a").select(once(a), once(a) + once(a), often(a), often(a)).to_arrow()
    assert (len(lines_of(once_log)), len(lines_of(often_log))) == (2, 4)


def test_filters_spare_functions(fleet, tmp_path):
    log = str(tmp_path / "calls")

    def f(a):
        with open(log, "a") as file:
            file.write("x\n")
        return a

    costly = udf(f, [BIGINT], BIGINT)
    table = fleet.from_elements(range(100), "a").select(col("a"), costly(col("a")).alias("c")).where("a < 3")
    assert table.to_arrow().num_rows == 3 and len(lines_of(log)) == 3


def test_errors_name_row_and_expression(fleet):
    rows = [str(n) for n in range(100_000)]
    rows[70_000] = "x"
    table = fleet.from_elements(rows, ["s"]).select(add(parsed(col("s")), 1).alias("p"))
    error = failure_of(udfleet.UserCodeError, table.to_arrow)
    assert (error.row, error.expression, error.exception.type) == (70_000, "parsed(s)", "ValueError")
    assert table.to_arrow(on_error="skip").num_rows == 99_999
    nulls = table.to_arrow(on_error="null")
    assert nulls.num_rows == 100_000 and nulls.column(0).null_count == 1
    for text, complaint, hint in [
        ("missing + 1", "no column", None),
        ("add(s, 1)", "argument 1", "CAST"),
        ("nothing(s)", "nothing", None),
        ("s + 1", "STRING", None),
        ("below(1)", "table function", "join_lateral"),
    ]:
        fleet.register_function("below", below)
        fleet.register_function("add", add)
        with pytest.raises(udfleet.UdfleetError) as caught:
            fleet.from_elements(rows[:1], ["s"]).select(text).to_arrow()
        assert caught.value.code in ("INVALID_PLAN", "FUNCTION_NOT_FOUND")
        assert complaint in caught.value.message + str(caught.value.function) and (hint or "") in (
            caught.value.hint or ""
        )
    for bad, complaint in [("a / b", "zero"), ("a * 9223372036854775807", "9223372036854775807")]:
        error = failure_of(
            udfleet.InvalidInputError, fleet.from_elements([(1, 2), (7, 0)], "a, b").select(bad).to_arrow
        )
        assert error.row == 1 and error.expression == bad and complaint in str(error)


def test_null_logic(fleet):
    table = fleet.from_elements([(True, None), (False, None), (None, None)], "ROW<p BOOLEAN, q BOOLEAN>")
    made = table.select("p AND q as a, p OR q as o, NOT q as n, q IS NULL as i, p = q as e")
    assert [list(row.values()) for row in made.to_pylist()] == [
        [None, True, None, True, None],
        [False, None, None, True, None],
        [None, None, None, True, None],
    ]
    assert table.where("q").to_arrow().num_rows == table.where("NOT q").to_arrow().num_rows == 0


def test_what_dies_under_a_table_function_is_run_again(fleet, tmp_path):
    """The interpreter dies once, in the middle of an answer of which parts were handed out."""
    mark = str(tmp_path / "died")

    @udtf(input_types=BIGINT, result_types=BIGINT)
    def fatal(n):
        import os

        for i in range(n):
            if i == 30_000 and not os.path.exists(mark):
                with open(mark, "w"):
                    pass
                os._exit(3)
            yield i

    table = fleet.from_elements([50_000, 10], "n").join_lateral(fatal(col("n")).alias("i")).select("i")
    assert table.to_arrow().column(0).to_pylist() == [*range(50_000), *range(10)]
    assert os.path.exists(mark)


@pytest.mark.parametrize("function", [Sum(), MergingSum()], ids=["whole", "merging"])
def test_a_lost_aggregation_is_run_again_where_its_rows_can_be_given_again(fleet, tmp_path, function):
    mark = str(tmp_path / "died")

    @udf(input_types=[BIGINT], result_type=BIGINT)
    def fatal(n):
        import os

        if n == 250_000 and not os.path.exists(mark):
            with open(mark, "w"):
                pass
            os._exit(3)
        return n

    total = udaf(function, BIGINT, BIGINT)
    table = fleet.from_elements(range(300_000), "n").select(total(fatal(col("n"))).alias("s"))
    assert table.to_pylist() == [{"s": sum(range(300_000))}]
    assert os.path.exists(mark)


def test_an_executor_is_killed_under_a_plan():
    """Its own fleet: one executor of two is gone for good."""
    numbers = [
        pa.record_batch({"n": pa.array(range(start, start + 1000), pa.int64())}) for start in range(0, 60_000, 1000)
    ]
    with udfleet.local(executors=2, interpreters=1) as own:
        slow = udtf(lambda n: (n * 2 + i for i in range(3)), BIGINT, BIGINT, name="slow")
        table = own.from_batches(numbers).join_lateral(slow(col("n")).alias("m")).select("m")
        answers = table.execute()
        got = next(answers).column(0).to_pylist()
        victim = own.pids["executor-1"]
        # Of 60 batches no more than 16 are on their way.
        os.kill(victim, signal.SIGKILL)
        for batch in answers:
            got += batch.column(0).to_pylist()
        assert got == [n * 2 + i for n in range(60_000) for i in range(3)]
        assert not descendants(victim)


class Recorder(BundleProgressHandler):
    def __init__(self):
        self.progress, self.completed = [], []

    def on_progress(self, progress):
        self.progress.append(progress)

    def on_completed(self, response):
        self.completed.append(response)


@pytest.mark.parametrize("direct", [True, False])
def test_progress_of_a_plan(fleet, direct):
    handler = Recorder()
    with udfleet.connect(fleet.address, fleet.token, direct=direct) as client:
        table = client.from_elements(range(200_000), "n").select(add(col("n"), 1))
        rows = sum(batch.num_rows for batch in table.execute(progress_handler=handler))
    assert rows == 200_000 == sum(done.rows_in for done in handler.completed)
    assert sum(done.rows_out for done in handler.completed) == rows
    assert all(done.run_seconds > 0 for done in handler.completed)


def test_inline_functions_keep_their_names(fleet):
    double = udf(lambda a: a * 2, [BIGINT], BIGINT, name="double it!")
    table = fleet.from_elements([1], "a").select(double(col("a")))
    assert table.to_pylist() == [{"_c0": 2}] == table.to_pylist()
    names = [function.name for function in fleet.functions() if function.name.startswith("doubleit-")]
    assert len(names) == 1
    # Somebody drops it: it is there again when it is used the next time.
    with udfleet.connect(fleet.address, fleet.token) as other:
        other.drop_function(names[0])
    with pytest.raises(udfleet.FunctionNotFoundError):
        eventually("the route is asked for anew", lambda: table.to_pylist() == [])
    assert table.to_pylist() == [{"_c0": 2}]


def test_rows_within_rows(fleet):
    person = "ROW<name STRING, home ROW<city STRING, zip INT>, tags ARRAY<STRING>>"
    elements = [Row(name="Ann", home=Row(city="Rome", zip=1), tags=["x"]), Row(name="Bob", home=None, tags=None)]
    described = udf(lambda p: f"{p.name} {p.home.city if p.home else '-'}", None, STRING)
    table = fleet.from_elements(elements, person).map(described.alias("d"))
    assert table.to_pylist() == [{"d": "Ann Rome"}, {"d": "Bob -"}]
    cities = fleet.from_elements(elements, person).select("home.city as c, home.zip + 1 as z, tags")
    assert cities.to_pylist() == [{"c": "Rome", "z": 2, "tags": ["x"]}, {"c": None, "z": None, "tags": None}]
    assert DataTypes.parse(person).fields[1].data_type.root == "ROW"


class TotalOfTexts(Sum):
    def accumulate(self, accumulator, text):
        accumulator[0] += int(text)


def test_rows_that_an_aggregate_can_not_take_are_left_out_of_their_groups(fleet):
    total = udaf(TotalOfTexts(), STRING, BIGINT)
    fleet.register_function("spared", total, on_error="skip")
    fleet.register_function("strict", total)
    table = fleet.from_elements([("a", "1"), ("b", "x"), ("a", "y"), ("b", "5"), ("a", "2")], ["k", "text"])
    grouped = table.group_by("k").select("k, spared(text) as total")
    assert sorted(grouped.to_arrow().to_pylist(), key=lambda row: row["k"]) == [
        {"k": "a", "total": 3},
        {"k": "b", "total": 5},
    ]
    assert eventually("they are told", lambda: fleet.progress("spared").total.row_errors) == 2
    kept = [error for view in fleet.row_errors("spared") for error in view.first]
    # Their rows count in the parts of the batch that executors got: which those are depends on how many there are.
    assert len(kept) == 2 and all(e.row is not None and "invalid literal" in str(e) for e in kept)
    strict = table.group_by("k").select("k, strict(text) as total")
    assert failure_of(udfleet.UserCodeError, strict.to_arrow).row == 1
    assert sum(row["total"] for batch in strict.execute(on_error="skip") for row in batch.to_pylist()) == 8
    refused = failure_of(udfleet.InvalidDefinitionError, fleet.register_function, "nulls", total, on_error="null")
    assert "fail or skip" in str(refused)
