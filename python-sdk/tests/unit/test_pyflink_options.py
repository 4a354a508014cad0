"""PyFlink's configuration keys that the fleet has none for."""

from __future__ import annotations

import warnings

import pytest

from udfleet._packing.pyflink_options import EXPLAINED, translated
from udfleet.errors import InvalidConfigError

ASYNC = "table.exec.async-scalar."


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({f"{ASYNC}max-concurrent-operations": "7"}, {"udfleet.async.concurrency": "7"}),
        ({f"{ASYNC}buffer-capacity": "7"}, {"udfleet.async.concurrency": "7"}),
        ({f"{ASYNC}timeout": "3 min"}, {"udfleet.async.timeout": "180000"}),
        ({f"{ASYNC}timeout": "250"}, {"udfleet.async.timeout": "250"}),
        ({f"{ASYNC}retry-delay": "2s"}, {"udfleet.async.retry-delay": "2000"}),
        ({f"{ASYNC}max-attempts": "5"}, {"udfleet.async.retries": "5"}),
        ({f"{ASYNC}retry-strategy": "FIXED_DELAY"}, {"udfleet.async.retries": "3"}),
        ({f"{ASYNC}retry-strategy": "no_retry", f"{ASYNC}max-attempts": "5"}, {"udfleet.async.retries": "0"}),
        ({f"{ASYNC}timeout": "3 min", "udfleet.async.timeout": "5"}, {"udfleet.async.timeout": "5"}),
        ({"python.fn-execution.bundle.size": "2"}, {"python.fn-execution.bundle.size": "2"}),
    ],
)
def test_keys_for_async_functions_become_those_of_the_fleet(config, expected):
    assert translated(config) == expected


@pytest.mark.parametrize(
    "config",
    [
        {f"{ASYNC}timeout": "soon"},
        {f"{ASYNC}timeout": "3 fortnights"},
        {f"{ASYNC}max-attempts": "-1"},
        {f"{ASYNC}retry-strategy": "SOMETIMES"},
        {f"{ASYNC}time-out": "3"},
        {"python.execution-mode": "threads"},
    ],
)
def test_wrong_values_are_refused(config):
    with pytest.raises(InvalidConfigError):
        translated(config)


@pytest.mark.parametrize("key", sorted(EXPLAINED))
def test_keys_without_a_meaning_are_explained(key):
    with pytest.warns(UserWarning, match=key):
        assert translated({key: "thread"}) == {}


def test_the_mode_that_there_is_needs_no_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert translated({"python.execution-mode": "process"}) == {}
