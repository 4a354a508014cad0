"""What ClickHouse is told, without ClickHouse."""

from __future__ import annotations

import pytest

from udfleet import StartupError
from udfleet._local import binaries
from udfleet.engines.clickhouse import clickhouse_type
from udfleet.types.sql import parse


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("BIGINT", "Nullable(Int64)"),
        ("BIGINT NOT NULL", "Int64"),
        ("NULL", "Nullable(Nothing)"),
        ("BINARY(16)", "Nullable(FixedString(16))"),
        ("BYTES NOT NULL", "String"),
        ("DECIMAL(10, 2)", "Nullable(Decimal(10, 2))"),
        ("TIMESTAMP(6)", "Nullable(DateTime64(6, 'UTC'))"),
        ("TIMESTAMP_LTZ(3) NOT NULL", "DateTime64(3)"),
        ("TIME(0)", "Nullable(Time64(0))"),
        ("ARRAY<ARRAY<INT>>", "Array(Array(Nullable(Int32)))"),
        ("MAP<STRING, ROW<a INT>>", "Map(String, Tuple(`a` Nullable(Int32)))"),
        ("MULTISET<DATE>", "Map(Date32, Int32)"),
        ("ROW<a INT NOT NULL, `b``c` BOOLEAN>", "Tuple(`a` Int32, `b\\`c` Nullable(Bool))"),
    ],
)
def test_types(declared, expected):
    assert clickhouse_type(parse(declared)) == expected


def test_a_program_that_was_not_built_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("UDFLEET_BIN_DIR", str(tmp_path))
    with pytest.raises(StartupError, match=f"udfleet-clickhouse was not found in {tmp_path}"):
        binaries.find_program(binaries.CLICKHOUSE_BRIDGE)
    with pytest.raises(StartupError, match="udfleet-coordinator and udfleet-executor were not found"):
        binaries.find_folder()
    (tmp_path / binaries.CLICKHOUSE_BRIDGE).touch(mode=0o755)
    assert binaries.find_program(binaries.CLICKHOUSE_BRIDGE) == tmp_path / binaries.CLICKHOUSE_BRIDGE
