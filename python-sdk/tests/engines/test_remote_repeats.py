"""A batch that an engine sends again because it failed is answered from memory, and counted as what it is."""

from __future__ import annotations

import re
from pathlib import Path

import flight_wire
import grpc
import pyarrow as pa
import pytest
import remote_servers
from remote_servers import batch

from udfleet import udf

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def fleet(endpoints):
    def counted(path, number):
        """Notes each run in a file."""
        with open(path, "a") as file:
            file.write(f"{number}\n")
        if number < 0:
            raise ValueError(f"{number} is negative")
        return number

    endpoints.fleet.register_function("counted", udf(counted, ["STRING", "BIGINT"], "BIGINT"))
    endpoints.fleet.register_function("dice", udf(counted, ["STRING", "BIGINT"], "BIGINT", deterministic=False))
    return endpoints


@pytest.fixture
def runs(tmp_path):
    """A file, and how often something ran for each number."""
    path = tmp_path / "runs"
    path.touch()
    return str(path), lambda: [int(line) for line in Path(path).read_text().split()]


def sent(path, *numbers):
    return batch(path=[path] * len(numbers), number=pa.array(numbers, pa.int64()))


@pytest.mark.parametrize("endpoint", ["coordinator", "executor"])
def test_databends_retries_run_nothing(fleet, runs, endpoint):
    path, ran = runs
    before = fleet.metric("udfleet_engine_repeats_total", engine="databend")
    answers = []
    for _ in range(9):
        # A connection for each try, as Databend does.
        with flight_wire.databend(fleet.addresses[endpoint], query_id=f"q-{path}", tenant="t") as client:
            answers.append(client.call("counted", sent(path, -7)))
    assert ran() == [-7]
    assert {answer.code for answer in answers} == {INVALID}
    assert {"-7 is negative" in answer.details for answer in answers} == {True}
    if endpoint == "coordinator":
        assert fleet.metric("udfleet_engine_repeats_total", engine="databend") == before + 8


@pytest.mark.parametrize("endpoint", ["coordinator", "executor"])
def test_another_query_another_batch_and_success_run(fleet, runs, endpoint):
    path, ran = runs

    def call(query, *numbers):
        with flight_wire.databend(fleet.addresses[endpoint], query_id=f"{query}-{path}") as client:
            return client.call("counted", sent(path, *numbers))

    assert call("q1", -7).code is call("q2", -7).code is INVALID
    assert ran() == [-7, -7]
    assert call("q1", -8).code is INVALID and "-8" in call("q1", -8).details
    assert ran() == [-7, -7, -8]
    assert call("q1", 5).column() == [5] and call("q1", 5).column() == [5]
    assert ran() == [-7, -7, -8, 5, 5]


def test_a_function_that_is_not_deterministic_runs_again(fleet, runs):
    path, ran = runs
    for _ in range(3):
        with flight_wire.databend(fleet.addresses["coordinator"], query_id=f"q-{path}") as client:
            assert client.call("dice", sent(path, -7)).code is INVALID
    assert ran() == [-7] * 3


def test_a_person_who_tries_again_wants_another_try(fleet, runs):
    path, ran = runs
    for _ in range(3):
        with flight_wire.plain(fleet.addresses["coordinator"]) as client:
            assert client.call("counted", sent(path, -7)).code is INVALID
    assert ran() == [-7] * 3


def test_a_new_version_is_called_anew(fleet):
    def call():
        with flight_wire.databend(fleet.addresses["coordinator"], query_id="mended") as client:
            return client.call("mended", batch(a=pa.array([-7], pa.int64())))

    fleet.fleet.register_function("mended", udf(lambda a: 1 // 0, "BIGINT", "BIGINT"))
    assert call().code is INVALID
    fleet.fleet.register_function("mended", udf(lambda a: a, "BIGINT", "BIGINT"))
    assert call().column() == [-7]


def test_calls_are_counted_by_engine_and_tenant(fleet):
    coordinator = fleet.addresses["coordinator"]
    number = batch(a=pa.array([1], pa.int64()))
    name = "udfleet_engine_calls_total"
    tenant = {"engine": "databend", "tenant": "t-one"}
    before = [fleet.metric(name, **tenant), fleet.metric(name, engine="arrow-udf")]
    for _ in range(3):
        with flight_wire.databend(coordinator, tenant="t-one", query_id="q", function="PICKY") as client:
            assert client.call("picky", number).column() == [1]
    with flight_wire.arrow_udf(coordinator) as client:
        for _ in range(2):
            assert client.call("picky", number).column() == [1]
    assert [fleet.metric(name, **tenant), fleet.metric(name, engine="arrow-udf")] == [before[0] + 3, before[1] + 2]


def test_labels_are_bounded():
    """A fleet of its own: what comes later has no label there."""
    number = batch(a=pa.array([1], pa.int64()))
    with remote_servers.endpoints() as fleet:
        for tenant in range(130):
            with flight_wire.databend(fleet.addresses["coordinator"], tenant=f"many-{tenant}") as client:
                assert client.call("picky", number).column() == [1]
        tenants = set(re.findall(r'udfleet_engine_calls_total{[^}]*tenant="([^"]*)"', fleet.metrics()))
    assert "other" in tenants and len(tenants - {"", "other"}) <= 100
