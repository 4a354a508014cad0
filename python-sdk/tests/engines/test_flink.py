"""PyFlink with functions of a fleet: the session is a process of its own, in Flink's Python (`make test-flink`)."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from engine_session import EngineError, Session
from fleet_support import eventually
from flight_functions import picky
from pyarrow import csv

import udfleet
from udfleet import udf

PYTHON = os.environ.get("UDFLEET_FLINK_PYTHON", "")
HERE = Path(__file__).parent
ROOT = HERE.parents[2]

pytestmark = pytest.mark.skipif(not PYTHON, reason="runs with `make test-flink`")

TYPES = {
    "TINYINT": "-128",
    "SMALLINT": "32767",
    "INT": "-2147483648",
    "BIGINT": "9007199254740991",
    "FLOAT": "1.5",
    "DOUBLE": "1e-300",
    "BOOLEAN": "TRUE",
    "DECIMAL(38, 18)": "'1000000000000000000.050000000000000001'",
    "STRING": "'grün'",
    "BYTES": "x'00ff'",
    "BINARY(3)": "x'0001ff'",
    "DATE": "DATE '1960-02-29'",
    "TIME(0)": "TIME '12:34:56'",
    "TIME(3)": "TIME '12:34:56.789'",
    "TIMESTAMP(3)": "TIMESTAMP '2040-01-02 03:04:05.678'",
    "TIMESTAMP(6)": "TIMESTAMP '2040-01-02 03:04:05.678901'",
    "TIMESTAMP_LTZ(3)": "TO_TIMESTAMP_LTZ(1234567890123, 3)",
    "TIMESTAMP_LTZ(6)": "TIMESTAMP '2040-01-02 03:04:05.678901'",
    "ARRAY<STRING>": "ARRAY['a', 'b']",
    "ARRAY<DOUBLE>": "ARRAY[1.5e0, -2e0]",
}


class Flink(Session):
    """A session of PyFlink."""

    def __init__(self, fleet: udfleet.LocalFleet, log: Path) -> None:
        super().__init__([PYTHON, str(HERE / "flink_session.py")], log, {"UDFLEET_TOKEN": fleet.token or ""})
        self.address = fleet.address

    def sql(self, text: str) -> Any:
        return self.ask({"sql": text})

    def register(self, name: str, address: str | None = None, **options: Any) -> Any:
        return self.ask({"register": [address or self.address, name, options]})


@pytest.fixture(scope="module")
def session(fleet, flights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flink")
    csv.write_csv(flights, folder / "flights.csv", csv.WriteOptions(include_header=False))
    running = Flink(fleet, folder / "session.log")
    columns = ", ".join(f"`{field.name}` {sql_type(field.type)}" for field in flights.schema)
    options = f"'connector' = 'filesystem', 'path' = '{folder}/flights.csv', 'format' = 'csv', 'csv.null-literal' = ''"
    try:
        running.sql(f"CREATE TABLE flights ({columns}) WITH ({options})")
        yield running
    finally:
        running.close()


def sql_type(arrow: pa.DataType) -> str:
    return {"int64": "BIGINT", "double": "DOUBLE"}.get(str(arrow), "STRING")


@pytest.mark.parametrize(
    ("name", "call", "own"),
    [
        ("speed", "speed(distance, air_time)", "distance / (air_time / 60)"),
        ("route", "route(origin, dest)", "origin || '-' || dest"),
        (
            "delay_class",
            "delay_class(dep_delay)",
            "CASE WHEN dep_delay IS NULL THEN 'cancelled' WHEN dep_delay <= 0 THEN 'on time' "
            "WHEN dep_delay < 30 THEN 'short' ELSE 'long' END",
        ),
    ],
)
def test_every_flight_as_in_flinks_own_sql(session, flights, name, call, own):
    session.register(name)
    ((rows, different),) = session.sql(
        f"SELECT COUNT(*), COUNT(CASE WHEN ours IS DISTINCT FROM own THEN 1 END) "
        f"FROM (SELECT {call} AS ours, {own} AS own FROM flights)"
    )
    assert (rows, different) == (flights.num_rows, 0)


def test_types_and_nulls_come_back_as_they_went(session, fleet):
    """All in one job: each job costs Flink seconds."""
    for number, name in enumerate(TYPES):
        fleet.register_function(f"same{number}", udf(lambda a: a, [name], name))
        session.register(f"same{number}")
    values = [f"CASE WHEN i = 1 THEN CAST({literal} AS {name}) END" for name, literal in TYPES.items()]
    inner = ", ".join(f"{value} AS x{number}" for number, value in enumerate(values))
    calls = ", ".join(f"x{number}, same{number}(x{number}) AS y{number}" for number in range(len(TYPES)))
    texts = ", ".join(f"CAST(x{number} AS STRING), CAST(y{number} AS STRING)" for number in range(len(TYPES)))
    first, second = session.sql(f"SELECT {texts} FROM (SELECT {calls} FROM (SELECT {inner} FROM one_and_two))")
    assert None not in first and dict(zip(TYPES, first[::2])) == dict(zip(TYPES, first[1::2]))
    assert second == [None] * 2 * len(TYPES)


def test_literals_among_columns_and_names(session):
    session.register("speed@1", alias="mph", deterministic=False, direct=False)
    assert session.sql("SELECT mph(100, CAST(i AS DOUBLE) * 60) FROM one_and_two") == [[100.0], [50.0]]


def test_an_exception_fails_the_job_with_what_it_says(session, fleet):
    session.register("picky")
    assert session.sql("SELECT SUM(picky(CAST(i AS BIGINT))) FROM one_and_two") == [[3]]
    with pytest.raises(EngineError, match=r"picky@1: row 1: ValueError: 5000 is one too many"):
        session.sql("SELECT picky(CAST(i * 2500 AS BIGINT)) FROM one_and_two")
    fleet.register_function("lenient", picky, on_error="null")
    session.register("lenient")
    assert session.sql("SELECT lenient(CAST(i * 2500 AS BIGINT)) FROM one_and_two") == [[2500], [None]]


def test_what_pyflink_has_rounded_is_refused(session, fleet):
    fleet.register_function("exact", udf(lambda a: a, ["BIGINT"], "BIGINT"))
    session.register("exact")
    large = "CAST(9007199254740993 AS BIGINT)"
    assert session.sql(f"SELECT exact({large} + i) FROM one_and_two") == [[9007199254740994], [9007199254740995]]
    with pytest.raises(EngineError, match="exact@1: argument 1: PyFlink has rounded BIGINTs of this batch"):
        session.sql(f"SELECT exact(CASE WHEN i = 1 THEN {large} END) FROM one_and_two")


def test_refused_when_it_is_registered(session, fleet):
    fleet.register_function("of_rows", udf(lambda a: 1, ["ROW<a INT>"], "BIGINT"))
    fleet.register_function("of_times", udf(lambda a: None, ["INT"], "TIME(6)"))
    for name, complaint in [
        ("letters", "Flink takes scalar functions, this one is table"),
        ("total", "Flink takes scalar functions, this one is aggregate"),
        ("anything", "has to know the types of its arguments"),
        ("greeting", "for how many rows a function without arguments"),
        ("of_rows", r"argument 1 has a type that PyFlink's pandas functions lack or change \(struct"),
        ("of_times", r"the result has a type that .* \(time64\[us\]\)"),
        ("delay_clas", r"FunctionNotFoundError: .*delay_clas .*\n.*delay_class"),
    ]:
        with pytest.raises(EngineError, match=complaint):
            session.register(name)
    with pytest.raises(EngineError, match=r"UnreachableError: speed: no answer from 127.0.0.1:1: .*\n.*fleet running"):
        session.register("speed", "127.0.0.1:1")
    with pytest.raises(EngineError, match=rf"UnauthenticatedError: speed: {fleet.address} .* token is wrong\n.*token="):
        session.register("speed", token="wrong")


def test_an_executor_that_is_lost_costs_the_job_nothing(session):
    def slow(distance):
        time.sleep(0.0002)
        return distance

    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("slow", udf(slow, ["BIGINT"], "BIGINT"))
        session.register("slow", fleet.address, token=fleet.token)
        query = "SELECT COUNT(*), SUM(slow(distance)) - SUM(distance) FROM (SELECT distance FROM flights LIMIT 40000)"
        session.send({"sql": query})
        busy = eventually("a batch runs", lambda: [view.id for view in fleet.executors() if view.in_flight], 60)
        os.kill(fleet.pids[busy[0]], 9)
        assert session.receive() == [[40000, 0]]
        (other,) = {"executor-1", "executor-2"} - {busy[0]}
        eventually("one is left", lambda: [view.id for view in fleet.executors() if view.state == "ready"] == [other])


def test_a_drained_executor_is_left_in_the_middle_of_a_job(session, tmp_path):
    def gated(distance, gate):
        if not os.path.exists(gate):
            time.sleep(0.001)
        return distance

    gate = tmp_path / "gate"
    with udfleet.local(executors=2, interpreters=1) as fleet:
        fleet.register_function("gated", udf(gated, ["BIGINT", "STRING"], "BIGINT"))
        session.register("gated", fleet.address, token=fleet.token)
        # A job keeps the version that it was made with.
        fleet.register_function("gated", udf(lambda distance, gate: None, ["BIGINT", "STRING"], "BIGINT"))
        session.send({"sql": f"SELECT COUNT(*), SUM(gated(distance, '{gate}')) - SUM(distance) FROM flights"})
        busy = eventually("a batch runs", lambda: [view.id for view in fleet.executors() if view.in_flight], 60)
        try:
            fleet.drain(busy[0])
            eventually("drained", lambda: {v.id: v.state for v in fleet.executors()}[busy[0]] == "drained", 60)
            eventually("the job goes on", lambda: any(view.in_flight for view in fleet.executors()))
        finally:
            gate.touch()
        assert session.receive() == [[336_776, 0]]


def test_the_job_of_the_page(fleet, flights, tmp_path):
    csv.write_csv(flights, tmp_path / "flights.csv", csv.WriteOptions(include_header=False))
    command = [PYTHON, str(ROOT / "deploy" / "flink" / "job.py"), fleet.address, str(tmp_path / "flights.csv")]
    environment = {**os.environ, "UDFLEET_TOKEN": fleet.token or ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "EWR" in done.stdout and "JFK" in done.stdout and "LGA" in done.stdout
