"""Configuration keys of PyFlink that are none of the fleet's: translated, or accepted with a word about why they change
nothing here.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

from ..errors import InvalidConfigError

ASYNC = "table.exec.async-scalar."
"""What the keys for `async def` functions begin with."""
_ASYNC_KEYS = {
    f"{ASYNC}max-concurrent-operations": "udfleet.async.concurrency",
    f"{ASYNC}buffer-capacity": "udfleet.async.concurrency",
    f"{ASYNC}timeout": "udfleet.async.timeout",
    f"{ASYNC}retry-delay": "udfleet.async.retry-delay",
}
_DURATIONS = (f"{ASYNC}timeout", f"{ASYNC}retry-delay")
_STRATEGY, _ATTEMPTS, _RETRIES = f"{ASYNC}retry-strategy", f"{ASYNC}max-attempts", "udfleet.async.retries"
_DEFAULT_ATTEMPTS = "3"
"""PyFlink's, where only the strategy is named."""

_MODE = "python.execution-mode"
EXPLAINED = {
    _MODE: "functions run in interpreters of the fleet, which are processes",
    "python.operator-chaining.enabled": "functions of one environment are always chained within one interpreter call",
    "python.systemenv.enabled": "interpreters have an environment of their own, without the variables of the executor",
    "python.pythonpath": "folders of modules travel with the function: name them in python.files",
    "python.logging.default.level": "what functions log and print is kept at every level: `udfleet logs`",
    "python.logging.level.overrides": "what functions log and print is kept at every level: `udfleet logs`",
    "python.job-options": "there are no Beam jobs",
    "python.loopback-server.address": "functions run on the fleet, not in the client",
    "python.fn-execution.streaming.enabled": "all results are streamed",
}
"""Keys that mean nothing here, each with the reason."""

_UNITS = {
    "": 1.0, "ms": 1.0, "milli": 1.0, "millis": 1.0, "millisecond": 1.0, "milliseconds": 1.0,
    "s": 1e3, "sec": 1e3, "secs": 1e3, "second": 1e3, "seconds": 1e3,
    "m": 6e4, "min": 6e4, "minute": 6e4, "minutes": 6e4, "h": 3.6e6, "hour": 3.6e6, "hours": 3.6e6,
    "d": 8.64e7, "day": 8.64e7, "days": 8.64e7,
}  # fmt: skip
"""Milliseconds of Flink's units of time."""


def translated(config: Mapping[str, str]) -> dict[str, str]:
    """The configuration in keys of the fleet; what is said in these already wins.

    :raises InvalidConfigError: a value that PyFlink would refuse too.
    """
    kept = {key: value for key, value in config.items() if key not in EXPLAINED and not key.startswith(ASYNC)}
    for key in sorted(config.keys() & EXPLAINED.keys()):
        _explain(key, config[key])
    return {**_asynchronous({key: value for key, value in config.items() if key.startswith(ASYNC)}), **kept}


def _explain(key: str, value: str) -> None:
    if key == _MODE and value not in ("process", "thread"):
        raise InvalidConfigError(f"{key} = {value!r} is neither process nor thread")
    if (key, value) != (_MODE, "process"):
        warnings.warn(f"{key} = {value} changes nothing: {EXPLAINED[key]}", stacklevel=2)


def _asynchronous(config: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, value in config.items():
        if key in _ASYNC_KEYS:
            found[_ASYNC_KEYS[key]] = _milliseconds(key, value) if key in _DURATIONS else value
        elif key not in (_STRATEGY, _ATTEMPTS):
            known = ", ".join(sorted((*_ASYNC_KEYS, _STRATEGY, _ATTEMPTS)))
            raise InvalidConfigError(f"unknown config key {key!r}", hint=f"there are {known}")
    if _STRATEGY in config or _ATTEMPTS in config:
        found[_RETRIES] = _retries(config.get(_STRATEGY, "FIXED_DELAY"), config.get(_ATTEMPTS, _DEFAULT_ATTEMPTS))
    return found


def _retries(strategy: str, attempts: str) -> str:
    if strategy.upper() not in ("FIXED_DELAY", "NO_RETRY"):
        raise InvalidConfigError(f"{_STRATEGY} = {strategy!r} is neither FIXED_DELAY nor NO_RETRY")
    if not re.fullmatch(r"\s*\d+\s*", attempts):
        raise InvalidConfigError(f"{_ATTEMPTS} = {attempts!r} is no number of retries")
    return str(int(attempts)) if strategy.upper() == "FIXED_DELAY" else "0"


def _milliseconds(key: str, value: str) -> str:
    match = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", value.lower())
    if match is None or match[2] not in _UNITS:
        raise InvalidConfigError(f"{key} = {value!r} is no duration", hint="write it as `30 s`, `100 ms` or `3 min`")
    return str(int(int(match[1]) * _UNITS[match[2]]))
