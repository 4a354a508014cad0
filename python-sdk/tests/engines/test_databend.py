"""Databend itself, from PyPI, calls functions of a fleet: an old build, and a newer one where there is a Python for it."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engine_session import EngineError, Session
from remote_functions import FUNCTIONS
from remote_servers import ROOT, Endpoints

from udfleet import udf

SDK = ROOT / "python-sdk"
UV = Path(sys.executable).with_name("uv")
# The newer build has a wheel for these.
NEWER = sorted(Path.home().glob(".pyenv/versions/3.1[2-9].*/bin/python"))[-1:]

TENANT = "shop"
CALLS, REPEATS = "udfleet_engine_calls_total", "udfleet_engine_repeats_total"
CONFIG = """
[query]
tenant_id = "default"
cluster_id = "one"
{settings}
udf_server_allow_list = {addresses}
[log.file]
on = false
dir = "{folder}/logs"
[meta]
embedded_dir = "{folder}/meta"
[storage]
type = "fs"
allow_insecure = true
[storage.fs]
data_path = "{folder}/data"
"""

VALUES = {
    "same_boolean": "true",
    "same_tinyint": "(-128)::TINYINT",
    "same_smallint": "32767::SMALLINT",
    "same_int": "(-2147483648)::INT",
    "same_bigint": "9223372036854775807::BIGINT",
    "same_float": "1.5::FLOAT",
    "same_double": "1e308::DOUBLE",
    "same_varchar": "'grüße'",
    "same_bytes": "from_hex('00ff')::BINARY",
    "same_decimal": "123456789012345.12345::DECIMAL(20, 5)",
    "same_date": "'9999-12-31'::DATE",
    "same_timestamp": "'1969-12-31 23:59:59.000001'::TIMESTAMP",
    "same_array": "[1, NULL, 3]::ARRAY(INT NULL)",
    "same_decimals": "[1.5, NULL]::ARRAY(DECIMAL(20, 5) NULL)",
    "same_row": "(1::INT NULL, 'x'::VARCHAR NULL)",
    "same_map": "{'a': 1::INT NULL, 'b': NULL}",
}


class Databend(Session):
    """A session, and how functions are created in it."""

    def __init__(self, python: str, newer: bool, endpoints: Endpoints, folder: Path) -> None:
        self.newer, self.endpoints = newer, endpoints
        addresses = [f"http://{address}" for address in endpoints]
        settings = page_settings() if newer else page_settings().replace("udf_server_allow_insecure = true\n", "")
        (folder / "config.toml").write_text(CONFIG.format(folder=folder, settings=settings, addresses=addresses))
        command = [str(UV), "run", "--quiet", "--no-project", "--no-python-downloads", "--python", python]
        command += ["--with-requirements", str(SDK / "requirements-databend.lock")]
        command += ["python", str(Path(__file__).with_name("databend_session.py")), str(folder / "config.toml"), TENANT]
        super().__init__(command, folder / "session.log")

    def sql(self, statement: str) -> Any:
        return self.ask(statement)

    def create(self, name: str, signature: str, endpoint: str = "coordinator") -> None:
        where = f"HANDLER = '{name}' ADDRESS = 'http://{self.endpoints.addresses[endpoint]}'"
        self.sql(f"CREATE OR REPLACE FUNCTION {name} {signature} LANGUAGE python {where}")


def page() -> str:
    return (ROOT / "docs" / "engines" / "databend.md").read_text()


def page_settings() -> str:
    """What the page puts into Databend's file, but for the addresses."""
    block = re.findall(r"^```toml\n\[query\]\n(.*?)^```", page(), flags=re.MULTILINE | re.DOTALL)[0]
    return "".join(line for line in block.splitlines(keepends=True) if "allow_list" not in line)


@pytest.fixture(scope="module", params=["older", "newer"])
def databend(request, endpoints, tmp_path_factory):
    newer = request.param == "newer"
    if newer and not NEWER:
        pytest.skip("newer builds of Databend want Python 3.12")
    running = Databend(
        str(NEWER[0]) if newer else sys.executable, newer, endpoints, tmp_path_factory.mktemp("databend")
    )
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def newer(databend):
    if not databend.newer:
        pytest.skip("old builds of Databend lack this")
    return databend


@pytest.mark.parametrize("endpoint", ["coordinator", "executor"])
def test_values_come_back_as_they_went(databend, endpoint):
    for name, value in VALUES.items():
        ((given,), result) = FUNCTIONS[name].types.databend
        databend.create(name, f"({given}) RETURNS {result}", endpoint)
        column = f"IF(number = 1, NULL, {value})"
        rows = databend.sql(f"SELECT {column}, {name}({column}) FROM numbers(3) ORDER BY number")
        assert [sent for sent, _ in rows] == [answer for _, answer in rows], name
        assert rows[0][0] is not None and rows[1][0] is None


def test_no_arguments(newer):
    newer.create("fortytwo", "() RETURNS BIGINT")
    assert newer.sql("SELECT fortytwo() FROM numbers(3)") == [[42]] * 3


def test_several_arguments(databend):
    databend.create("joined", "(VARCHAR, BIGINT, BOOLEAN) RETURNS VARCHAR")
    assert databend.sql("SELECT joined('a', number::BIGINT, number > 0) FROM numbers(2)") == [
        ["a/0/False"],
        ["a/1/True"],
    ]


def test_the_functions_of_the_page_on_every_flight(databend, endpoints, flights, tmp_path):
    module = types.ModuleType("flights")
    exec(re.findall(r"^```python\n(.*?)^```", page(), flags=re.MULTILINE | re.DOTALL)[0], module.__dict__)
    endpoints.fleet.register_function("delay_class", module.delay_class)
    create, select = re.search(
        r"^```sql\n(CREATE FUNCTION delay_class.*?);.*?(SELECT carrier, .*?);", page(), re.MULTILINE | re.DOTALL
    ).groups()
    columns = {
        "carrier": flights["carrier"],
        "delay": pa.compute.if_else(flights["air_time"].is_null(), None, flights["dep_delay"]),
    }
    pq.write_table(pa.table(columns), tmp_path / "flights.parquet")
    try:
        databend.sql("CREATE OR REPLACE TABLE flights (carrier VARCHAR NULL, delay DOUBLE NULL)")
        databend.sql(
            f"COPY INTO flights FROM 'fs://{tmp_path}/' PATTERN = 'flights.parquet' FILE_FORMAT = (TYPE = PARQUET)"
        )
        databend.sql("DROP FUNCTION IF EXISTS delay_class")
        databend.sql(create.replace("127.0.0.1:8815", endpoints.addresses["coordinator"]))
        own = "CASE WHEN delay IS NULL THEN 'cancelled' WHEN delay > 15 THEN 'late' ELSE 'on time' END"
        expected = databend.sql(select.replace("delay_class(delay)", own))
        assert sum(count for _, _, count in expected) == flights.num_rows
        assert sorted(databend.sql(select)) == sorted(expected)
    finally:
        endpoints.fleet.drop_function("delay_class")


def test_types_are_compared_when_it_is_created(databend):
    with pytest.raises(EngineError, match="types mismatch"):
        databend.create("gcd", "(BIGINT, BIGINT) RETURNS INT")
    with pytest.raises(EngineError, match="FUNCTION_NOT_FOUND"):
        databend.create("missing", "(INT) RETURNS INT")


def test_what_a_function_raises_fails_the_query(databend):
    databend.create("picky", "(BIGINT) RETURNS BIGINT")
    if databend.newer:
        databend.sql("SET external_server_request_retry_times = 0")
    with pytest.raises(EngineError, match=r"USER_CODE: picky@1: row 2: ValueError: -1 is negative"):
        databend.sql("SELECT picky(1 - number::BIGINT) FROM numbers(3)")


def test_what_failed_is_not_run_again(newer, endpoints, tmp_path):
    runs = tmp_path / "runs"

    def noted(path, number):
        with open(path, "a") as file:
            file.write(f"{number}\n")
        raise ValueError(f"{number} is refused")

    endpoints.fleet.register_function("noted", udf(noted, ["STRING", "BIGINT"], "BIGINT"))
    newer.create("noted", "(VARCHAR, BIGINT) RETURNS BIGINT")
    newer.sql("SET external_server_request_retry_times = 3")
    calls, repeats = (endpoints.metric(name, engine="databend") for name in (CALLS, REPEATS))
    with pytest.raises(EngineError, match="7 is refused"):
        newer.sql(f"SELECT noted('{runs}', 7)")
    assert runs.read_text() == "7\n"
    assert endpoints.metric(CALLS, engine="databend") - calls == 4
    assert endpoints.metric(REPEATS, engine="databend") - repeats == 3


def test_many_batches_of_one_query(newer):
    newer.create("same_bigint", "(BIGINT) RETURNS BIGINT")
    newer.sql("SET external_server_request_batch_rows = 1000")
    (row,) = newer.sql("SELECT count(*), sum(same_bigint(number::BIGINT)) FROM numbers(200000)")
    assert row == [200_000, 19_999_900_000]


def test_old_builds_know_one_of_the_settings(databend):
    of_the_page = set(re.findall(r"external_server_\w+", page()))
    known = {name for (name,) in databend.sql("SELECT name FROM system.settings")}
    assert of_the_page & known == (of_the_page if databend.newer else {"external_server_request_timeout_secs"})


def test_it_reaches_the_fleet(newer, endpoints):
    for address in endpoints:
        assert newer.sql(f"SELECT * FROM udf_echo('http://{address}', 'hello')") == [["hello"]]


def test_the_tenant_is_a_label(newer, endpoints):
    newer.create("gcd", "(INT, INT) RETURNS INT")
    labels = {"engine": "databend", "tenant": TENANT}
    before = endpoints.metric(CALLS, **labels)
    assert newer.sql("SELECT gcd(12, 18)") == [[6]]
    assert endpoints.metric(CALLS, **labels) == before + 1
