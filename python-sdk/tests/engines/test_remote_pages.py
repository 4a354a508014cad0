"""The pages of engines that call over the network hold: their functions, statements, types and settings."""

from __future__ import annotations

import re
import subprocess
import types

import flight_wire
import pyarrow as pa
import pytest
from remote_servers import ROOT, batch

from udfleet import udf
from udfleet._local import binaries

# As RisingWave and Databend compare them with a function's signature when it is created.
COMMON = {
    "BOOLEAN": pa.bool_(),
    "SMALLINT": pa.int16(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "ROW<a INT>": pa.struct([("a", pa.int32())]),
    "MAP<STRING, INT>": pa.map_(pa.string(), pa.int32()),
    "ARRAY<INT>": pa.list_(pa.int32()),
    "STRING": pa.string(),
    "TIMESTAMP(6)": pa.timestamp("us"),
}
RISINGWAVE = {
    **COMMON,
    "FLOAT": pa.float32(),
    "DECIMAL(10, 2)": pa.string(),
    "BYTES": pa.binary(),
    "TIME(6)": pa.time64("us"),
    "TIMESTAMP_LTZ(6)": pa.timestamp("us", "+00:00"),
    "INTERVAL YEAR TO MONTH": pa.month_day_nano_interval(),
}
DATABEND = {
    **COMMON,
    "TINYINT": pa.int8(),
    "FLOAT": pa.float32(),
    "DECIMAL(10, 2)": pa.decimal128(10, 2),
    "BYTES": pa.binary(),
    "ARRAY<INT NOT NULL>": pa.list_(pa.field("item", pa.int32(), False)),
    "ROW<a INT NOT NULL>": pa.struct([pa.field("a", pa.int32(), False)]),
    "MAP<STRING, INT NOT NULL>": pa.map_(pa.string(), pa.field("value", pa.int32(), False)),
}
# The words that the pages' statements use.
SQL = {
    "double precision": pa.float64(),
    "double": pa.float64(),
    "numeric": pa.string(),
    "varchar": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
}
ENGINES = {"risingwave": (flight_wire.arrow_udf, RISINGWAVE), "databend": (flight_wire.databend, DATABEND)}


def page(name):
    return (ROOT / "docs" / "engines" / f"{name}.md").read_text()


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page(name), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(params=ENGINES)
def registered(request, endpoints):
    """The page's name, after its functions were registered as it says."""
    module = types.ModuleType("flights")
    exec(blocks(request.param, "python")[0], module.__dict__)
    named = re.findall(r"udfleet register flights\.py:(\w+)$", page(request.param), flags=re.MULTILINE)
    assert len(named) >= 2
    for name in named:
        endpoints.fleet.register_function(name, getattr(module, name))
    yield request.param
    for name in named:
        endpoints.fleet.drop_function(name)


def signature(statement):
    """Name, inputs and outputs of a CREATE FUNCTION, and what it is called in the fleet."""
    found = re.match(r"CREATE FUNCTION (\w+) ?\((.*?)\) RETURNS (TABLE \(.*?\)|.*?)\s+(?:AS|LANGUAGE)", statement, re.S)
    name, inputs, outputs = found.groups()
    handler = re.search(r"HANDLER = '(\w+)'|AS (\w+) USING", statement)

    def kinds(listed):
        words = [word.strip().lower() for word in listed.split(",")]
        return [SQL[word] if word in SQL else SQL[word.split(" ", 1)[1]] for word in words]

    table = outputs.startswith("TABLE")
    return (
        name,
        kinds(inputs),
        kinds(outputs[len("TABLE (") : -1] if table else outputs),
        table,
        handler[1] or handler[2],
    )


def test_statements_fit_the_signatures(registered, endpoints):
    client_of, _ = ENGINES[registered]
    statements = [part for block in blocks(registered, "sql") for part in block.split(";") if "CREATE FUNCTION" in part]
    assert len(statements) >= 2
    for endpoint in endpoints:
        with client_of(endpoint) as client:
            for statement in statements:
                _, inputs, outputs, table, handler = signature(statement.strip())
                told = client.info(handler).schema.types
                if table and registered == "risingwave":
                    outputs = [pa.int32(), pa.struct([(f.name, f.type) for f in told[-1]])]
                    assert [f.type for f in told[-1]] == [pa.string(), pa.int32()]
                assert told == inputs + outputs


def test_functions_do_what_the_page_says(registered, endpoints):
    client_of, _ = ENGINES[registered]
    version = endpoints.fleet.function("delay_class").reference
    for endpoint in endpoints:
        with client_of(endpoint) as client:
            answer = client.call("delay_class", batch(a=[33.0, 2.0, None]))
            assert answer.column() == ["late", "on time", "cancelled"]
            assert client.call(version, batch(a=[33.0])).column() == ["late"]


@pytest.mark.parametrize(
    ("engine", "declared"), [(engine, declared) for engine, (_, known) in ENGINES.items() for declared in known]
)
def test_types_are_what_the_engine_compares(endpoints, engine, declared):
    client_of, known = ENGINES[engine]
    endpoints.fleet.register_function("typed", udf(lambda a: a, declared, declared))
    try:
        for endpoint in endpoints:
            with client_of(endpoint) as client:
                assert client.info("typed").schema.types == [known[declared]] * 2
    finally:
        endpoints.fleet.drop_function("typed")


@pytest.mark.parametrize("engine", ENGINES)
def test_settings_are_taken(engine, tmp_path):
    (config,) = [block for block in blocks(engine, "toml") if "engine_listen" in block]
    (tmp_path / "coordinator.toml").write_text(config)
    command = [str(binaries.find_program(binaries.COORDINATOR)), "--config", str(tmp_path / "coordinator.toml")]
    shown = subprocess.run([*command, "--dump-config"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert 'engine_listen = "10.0.0.5:8817"' in shown.stdout and "choose-a-long" not in shown.stdout


def test_databends_client_as_the_page_has_it(endpoints, capsys):
    script = blocks("databend", "python")[1].replace("8815", endpoints.addresses["coordinator"].rpartition(":")[2])
    endpoints.fleet.register_function("delay_class", udf(lambda a: a and "late", "DOUBLE", "STRING"))
    try:
        exec(script, {})
    finally:
        endpoints.fleet.drop_function("delay_class")
    assert capsys.readouterr().out == "['late', None]\n"
