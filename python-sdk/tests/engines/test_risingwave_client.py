"""The client with which RisingWave calls remote functions: arrow-udf-runtime from crates.io, in a program of its own."""

from __future__ import annotations

import pytest
import remote_servers
import rust_programs

from udfleet import udf

CHECKS = [
    "version",
    "signatures",
    "list",
    "unknown",
    "scalar",
    "nulls",
    "decimal",
    "json",
    "no-arguments",
    "empty",
    "large",
    "concurrent",
    "table",
    "table-of-columns",
    "empty-table",
    "error-column",
    "whole-batch",
    "wrong-type",
    "refused",
]
# There arrow-udf's own server answers otherwise: with a status for the whole call, or not at all.
NOT_OF_THE_REFERENCE = {"json", "error-column", "whole-batch", "wrong-type", "refused"}


@pytest.fixture(scope="session")
def check():
    """Runs one check of the program against an address."""
    program = rust_programs.build("remote-client")

    def run(*arguments):
        done = program(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def endpoints(endpoints):
    def vectorised(column):
        if any(value.as_py() < 0 for value in column):
            raise ValueError("one is negative")
        return column

    endpoints.fleet.register_function("picky_arrow", udf(vectorised, "BIGINT", "BIGINT", func_type="arrow"))
    return endpoints


def test_all_checks_are_run_here(check):
    assert check("list").split() == CHECKS


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in NOT_OF_THE_REFERENCE])
def test_the_checks_hold_for_arrow_udfs_own_server(check, references, name):
    check(references["arrow-udf"], name)


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "refused"])
@pytest.mark.parametrize("endpoint", ["coordinator", "executor"])
def test_a_fleet(check, endpoints, endpoint, name):
    check(endpoints.addresses[endpoint], name)


def test_what_nobody_serves_is_refused_before_headers(check):
    with remote_servers.endpoints() as lonely:
        lonely.lose_executors()
        check(lonely.processes.address, "refused")
