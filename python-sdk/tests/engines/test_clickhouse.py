"""SQL in ClickHouse that calls functions of the fleet gives what ClickHouse's own SQL gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from clickhouse_support import Sql
from fleet_support import eventually, processes_naming, program_of, run_cli
from refusals import check_refusals
from remote_functions import gated

import udfleet
from udfleet import DataTypes, udf
from udfleet._local import binaries
from udfleet.engines import clickhouse as adapter
from udfleet.types.sql import parse


@pytest.fixture(scope="session")
def table(flights, tmp_path_factory):
    """The flights as ClickHouse's SQL reads them."""
    import pyarrow.parquet as pq

    path = tmp_path_factory.mktemp("flights") / "flights.parquet"
    pq.write_table(flights, path)
    return f"file('{path}', Parquet)"


@pytest.fixture(scope="session", params=[0, 2], ids=["executable", "executable_pool"])
def sql(fleet, tmp_path_factory, request):
    """Both ways to start the bridge."""
    folder = tmp_path_factory.mktemp("clickhouse")
    adapter.configure(fleet, folder, "delay_class", "speed", "route", "picky", pool=request.param)
    return Sql(folder)


def test_all_flights_through_functions_of_every_func_type(sql, table):
    differing = f"""
        select count() from {table} where
            not (delay_class(dep_delay) <=> multiIf(dep_delay is null, 'cancelled', dep_delay <= 0, 'on time',
                dep_delay < 30, 'short', 'long'))
            or not (speed(distance, air_time) <=> distance / (air_time / 60))
            or not (route(origin, dest) <=> concat(origin, '-', dest))"""
    assert sql(differing) == "0"
    classes = sql(f"select delay_class(dep_delay) as c, count() from {table} group by c order by c").splitlines()
    assert classes[0] == "cancelled\t8255" and sum(int(line.split("\t")[1]) for line in classes) == 336_776


def test_functions_in_every_place_of_a_query(sql, table):
    assert sql(f"select speed(distance, air_time) from {table} where false") == ""
    assert sql("select route('JFK', 'LAX'), delay_class(NULL), toTypeName(speed(1, 2))") == (
        "JFK-LAX\tcancelled\tNullable(Float64)"
    )
    nested = f"select max(route(route(origin, 'x'), dest)) from {table} where delay_class(dep_delay) = 'long'"
    assert sql(nested) == sql(f"select max(concat(origin, '-x-', dest)) from {table} where dep_delay >= 30")
    joined = (
        f"select count() from {table} as a join values('r String', 'EWR-IAH') as b on route(a.origin, a.dest) = b.r"
    )
    assert sql(joined) == sql(f"select count() from {table} where origin = 'EWR' and dest = 'IAH'")


def test_blocks_of_any_size(sql):
    for size in (1, 7, 65_409, 300_000):
        rows = min(3 * size, 300_000)
        query = f"select sum(picky(number + 10000)), count() from numbers({rows}) settings max_block_size = {size}"
        assert sql(query) == f"{sum(range(10_000, 10_000 + rows))}\t{rows}"


def test_several_threads_call_at_once(sql, table):
    query = f"select sum(speed(distance, air_time) > 400) from {table} settings max_threads = 4, max_block_size = 5000"
    assert sql(query) == sql(f"select sum(distance / (air_time / 60) > 400) from {table}")


def test_an_exception_names_function_row_and_reason(sql):
    text = sql.fails("select sum(picky(number)) from numbers(10000)")
    assert "USER_CODE: picky@1: row 5000: ValueError: 5000 is one too many" in text
    assert "raise ValueError" in text
    assert sql("select picky(1)") == "1"


def test_null_for_rows_that_fail(fleet, tmp_path):
    adapter.configure(fleet, tmp_path, "picky", on_error="null", prefix="lenient_", pool=1)
    query = "select groupArray(number) from numbers(10000) where lenient_picky(number) is null"
    assert Sql(tmp_path)(query) == "[5000]"


VALUES = [
    ("BOOLEAN", "true"),
    ("TINYINT", "-128"),
    ("SMALLINT", "32767"),
    ("INT", "-2147483648"),
    ("BIGINT NOT NULL", "9223372036854775807"),
    ("FLOAT", "1.5"),
    ("DOUBLE", "0.1"),
    ("DECIMAL(38, 18)", "'12345678901234567890.123456789012345678'"),
    ("DECIMAL(5, 0)", "-99999"),
    ("CHAR(3)", "'aß中'"),
    ("STRING", "'\\'\\n🚀'"),
    ("BINARY(4)", "unhex('00ff80fe')"),
    ("BYTES", "unhex('00ff80fe00')"),
    ("DATE", "'1999-12-31'"),
    ("TIME(0)", "'23:59:59'::Time"),
    ("TIME(6)", "'23:59:59.000001'::Time64(6)"),
    ("TIMESTAMP(0)", "'1969-12-31 23:59:59'"),
    ("TIMESTAMP(3)", "'2024-02-29 12:00:00.123'"),
    ("TIMESTAMP(6)", "'2024-02-29 12:00:00.123456'"),
    ("TIMESTAMP(9)", "'2024-02-29 12:00:00.123456000'"),
    ("TIMESTAMP_LTZ(3)", "'2024-02-29 12:00:00.123'"),
    ("INTERVAL DAY TO SECOND", "toIntervalMicrosecond(-1500000)"),
    ("ARRAY<BIGINT>", "[1, NULL, 3]"),
    ("ARRAY<BIGINT NOT NULL>", "emptyArrayInt64()"),
    ("ARRAY<ARRAY<BYTES>>", "[[unhex('ff'), NULL], []]"),
    ("ARRAY<TIMESTAMP(6)>", "['2024-02-29 12:00:00.123456'::DateTime64(6, 'UTC')]"),
    ("MAP<STRING, BIGINT>", "map('a', 1, 'b', NULL)"),
    ("MAP<DATE, ARRAY<DECIMAL(10, 2)>>", "map('2024-02-29'::Date32, ['1.25'::Decimal(10, 2)])"),
    ("MULTISET<STRING>", "map('a', 2)"),
    ("ROW<a BIGINT, `b c` STRING>", "(1, NULL)"),
    ("ROW<a ROW<b TIME(3), c ARRAY<BOOLEAN>>, d DOUBLE>", "(('01:02:03.004'::Time64(3), [true, NULL]), 0.5)"),
    ("ARRAY<ROW<a TIMESTAMP_LTZ(3), b BYTES>>", "[('2024-02-29 12:00:00.123'::DateTime64(3), unhex('00ff'))]"),
]


@pytest.fixture(scope="module")
def echoes(fleet, tmp_path_factory):
    """A function for each type that gives back what it gets."""
    names = [f"echo_{index}" for index in range(len(VALUES))]
    for name, (declared, _) in zip(names, VALUES):
        fleet.register_function(name, udf(lambda a: a, [parse(declared)], parse(declared)))
    folder = tmp_path_factory.mktemp("echoes")
    adapter.configure(fleet, folder, *names)
    yield Sql(folder)
    for name in names:
        fleet.drop_function(name)


@pytest.mark.parametrize("index", range(len(VALUES)), ids=[declared for declared, _ in VALUES])
def test_a_type_goes_there_and_back(echoes, index):
    declared, value = VALUES[index]
    data_type = parse(declared)
    clickhouse = adapter.clickhouse_type(data_type).replace("'", "\\'")
    given = f"cast({value}, '{clickhouse}')"
    comparison = f"select echo_{index}(x) <=> x, toTypeName(echo_{index}(x)) = toTypeName(x) from (select {given} as x)"
    assert echoes(comparison).split("\t") in (["1", "1"], ["true", "true"])
    if data_type.is_nullable and "Nullable" in clickhouse[:8]:
        assert echoes(f"select echo_{index}(NULL) is null") == "1"


def test_times_are_instants(fleet, tmp_path):
    """A time without zone is that of UTC, one with a zone the moment itself."""
    fleet.register_function("wall", udf(lambda t: str(t), ["TIMESTAMP(0)"], "STRING"))
    fleet.register_function("moment", udf(lambda t: t.isoformat(), ["TIMESTAMP_LTZ(0)"], "STRING"))
    adapter.configure(fleet, tmp_path, "wall", "moment")
    given = "toDateTime('2024-02-29 12:00:00', 'Asia/Tokyo')"
    assert Sql(tmp_path)(f"select wall({given}), moment({given})") == "2024-02-29 03:00:00\t2024-02-29T03:00:00+00:00"
    for name in ("wall", "moment"):
        fleet.drop_function(name)


def test_a_null_that_clickhouse_would_misread_fails_the_query(fleet, tmp_path):
    numbers = DataTypes.ARRAY(DataTypes.BIGINT())
    fleet.register_function("evens", udf(lambda a: None if a % 2 else [a], ["BIGINT"], numbers))
    adapter.configure(fleet, tmp_path, "evens")
    text = Sql(tmp_path).fails("select evens(number + 4) from numbers(5)")
    assert "RESULT_TYPE: evens@1: row 1: " in text and "never null" in text
    assert Sql(tmp_path)("select evens(4)") == "[4]"
    fleet.drop_function("evens")


@pytest.mark.parametrize("result", ["ARRAY<BIGINT>", "MAP<STRING, INT>", "MULTISET<INT>", "ROW<a INT>"])
def test_null_for_rows_that_fail_is_refused_where_clickhouse_has_no_nulls(fleet, tmp_path, result):
    fleet.register_function("made", udf(lambda a: None, ["BIGINT"], parse(result)))
    fleet.register_function("lenient", udf(lambda a: None, ["BIGINT"], parse(result)), on_error="null")
    refused = "rows that fail would be null .*, and it has no nulls of"
    with pytest.raises(udfleet.InvalidDefinitionError, match=rf"made@\d: .*{refused} {re.escape(result)}\n.*'fail'"):
        adapter.configure(fleet, tmp_path, "made", on_error="null")
    said = run_cli(fleet, "clickhouse", "lenient", "--folder", str(tmp_path), status=1).stderr
    assert re.search(refused, said) and not list(tmp_path.iterdir())
    adapter.configure(fleet, tmp_path, "lenient", on_error="fail")
    for name in ("made", "lenient"):
        fleet.drop_function(name)


def test_refused_when_it_is_configured(fleet, tmp_path):
    check_refusals(lambda name, **options: adapter.configure(fleet, tmp_path, name, **options))
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"for how many rows.*\n.*argument that it ignores"):
        adapter.configure(fleet, tmp_path, "greeting")
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"'picky.x' is no name"):
        fleet.register_function("picky.x", udf(lambda a: a, ["BIGINT"], "BIGINT"))
        adapter.configure(fleet, tmp_path, "picky.x")
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"picky@1 would have the same name"):
        adapter.configure(fleet, tmp_path, "picky", "picky@1")
    months = udf(lambda a: a, [DataTypes.ARRAY(parse("INTERVAL YEAR TO MONTH"))], "BIGINT")
    fleet.register_function("months", months)
    with pytest.raises(udfleet.InvalidDefinitionError, match=r"INTERVAL YEAR TO MONTH.*\n.*clickhouse.md"):
        adapter.configure(fleet, tmp_path, "months")
    for name in ("picky.x", "months"):
        fleet.drop_function(name)
    (tmp_path / "file").touch()
    with pytest.raises(udfleet.InvalidConfigError, match=r"file/udf can't be written"):
        adapter.configure(fleet, tmp_path / "file" / "udf", "picky")
    assert [path.name for path in tmp_path.iterdir()] == ["file"], (
        "nothing is written before all is known to be possible"
    )


def test_a_folder_keeps_the_version_that_was_configured(fleet, tmp_path):
    fleet.register_function("answer", udf(lambda a: a, ["BIGINT"], "BIGINT"))
    adapter.configure(fleet, tmp_path, "answer")
    fleet.register_function("answer", udf(lambda a: f"<{a}>", ["BIGINT"], "STRING"))
    sql = Sql(tmp_path)
    assert sql("select answer(1)") == "1"
    adapter.configure(fleet, tmp_path, "answer")
    assert sql("select answer(1)") == "<1>"
    fleet.drop_function("answer")
    assert "FUNCTION_NOT_FOUND" in sql.fails("select answer(1)")


def test_the_command_line_writes_the_folder(fleet, tmp_path):
    folder = tmp_path / "made" / "here"
    done = run_cli(fleet, "clickhouse", "picky", "route@1", "--folder", str(folder), "--pool", "1")
    assert done.stdout.splitlines() == [
        "picky(Nullable(Int64)) -> Nullable(Int64)",
        "route(Nullable(String), Nullable(String)) -> Nullable(String)",
    ]
    token = folder / adapter.TOKEN
    assert token.read_text().strip() == fleet.token and token.stat().st_mode & 0o777 == 0o600
    assert fleet.token not in (folder / adapter.CONFIG).read_text(), "a command line is for everybody to see"
    assert Sql(folder)("select route('a', 'b'), picky(3)") == "a-b\t3"


def bridges(folder: Path) -> set[int]:
    """Processes of the bridge that know of a folder: the token lies there."""
    return {pid for pid in processes_naming(folder) if program_of(pid) == binaries.CLICKHOUSE_BRIDGE}


@pytest.mark.parametrize("killed", [False, True], ids=["ends", "is killed"])
def test_no_process_outlives_its_engine(fleet, tmp_path, killed):
    fleet.register_function("gated", udf(gated, ["STRING"], "STRING"))
    adapter.configure(fleet, tmp_path, "gated", pool=3)
    gate = tmp_path / "gate"
    query = f"select count(gated('{gate}')) from numbers(3)"
    script = f"import chdb; print(chdb.query({query!r}, 'TSV', udf_path={str(tmp_path)!r}))"
    engine = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        eventually("a bridge works for it", lambda: bridges(tmp_path), 60)
        if killed:
            engine.kill()
        gate.touch()
        answer, said = engine.communicate(timeout=60)
        assert answer.strip() == ("" if killed else "3"), said
    finally:
        gate.touch()
        engine.kill()
        engine.wait()
    eventually("all bridges have ended", lambda: not bridges(tmp_path))
    fleet.drop_function("gated")
