"""The keys of `PYTHON_UDF_CONFIG`, and udfleet's keys for them."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidConfigError

KEYS: Mapping[str, str] = {
    "PYTHON_FILES": "python.files",
    "PYTHON_ARCHIVES": "python.archives",
    "PYTHON_REQUIREMENTS": "python.requirements",
    "PYTHON_EXECUTABLE": "python.executable",
    "PYTHON_CLIENT_EXECUTABLE": "python.client.executable",
    "PYTHON_FN_EXECUTION_ARROW_BATCH_SIZE": "python.fn-execution.arrow.batch.size",
    "PYTHON_FN_EXECUTION_BUNDLE_SIZE": "python.fn-execution.bundle.size",
    "PYTHON_FN_EXECUTION_BUNDLE_TIME": "python.fn-execution.bundle.time",
    "PYTHON_FN_EXECUTION_MEMORY_MANAGED": "python.fn-execution.memory.managed",
    "PYTHON_MAP_STATE_ITERATE_RESPONSE_BATCH_SIZE": "python.map-state.iterate-response-batch-size",
    "PYTHON_MAP_STATE_READ_CACHE_SIZE": "python.map-state.read-cache-size",
    "PYTHON_MAP_STATE_WRITE_CACHE_SIZE": "python.map-state.write-cache-size",
    "PYTHON_STATE_CACHE_SIZE": "python.state.cache-size",
    "PYTHON_METRIC_ENABLED": "python.metric.enabled",
    "PYTHON_PROFILE_ENABLED": "python.profile.enabled",
}
"""Dagger's keys, those that only its RFC names among them."""

_PATHS = ("PYTHON_FILES", "PYTHON_ARCHIVES", "PYTHON_REQUIREMENTS")


def parse(text: str) -> dict[str, str]:
    """Reads the JSON; gives udfleet's keys with their values as text.

    Dagger's code reads one object, its documentation shows a list with one: both are taken.

    :raises InvalidConfigError: for what is not such JSON, unknown keys and values that can't be meant.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidConfigError(f"Dagger's configuration is not JSON: {error}") from None
    return checked(given)


def read_settings(path: str | os.PathLike[str]) -> dict[str, str]:
    """The same of a file."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfigError(f"Dagger's configuration {os.fspath(path)!r} can't be read: {error}") from None


def checked(given: Any) -> dict[str, str]:
    """The same of what JSON holds."""
    if isinstance(given, list) and len(given) == 1:
        (given,) = given
    if not isinstance(given, Mapping):
        raise InvalidConfigError(
            f"Dagger's configuration is a JSON object, or a list with one; this is {_shown(given)}",
            hint="give the value of PYTHON_UDF_CONFIG",
        )
    settings = {_known(key): _text(key, value) for key, value in given.items() if value is not None}
    if not settings.get("python.files"):
        raise InvalidConfigError("PYTHON_FILES is missing: it names the .py and .zip files of the functions")
    return settings


def _known(key: Any) -> str:
    if key in KEYS:
        return KEYS[key]
    near = difflib.get_close_matches(str(key).upper(), KEYS, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}"
    raise InvalidConfigError(f"Dagger's configuration has no key {key!r}", hint=hint)


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, (str, int)):
        raise InvalidConfigError(f"{key} is {_shown(value)}; it takes text or a number")
    text = ",".join(item.strip() for item in str(value).split(",") if item.strip())
    if key in _PATHS and "://" in text:
        raise InvalidConfigError(
            f"{key}: {text!r} is not a path of this machine", hint="fetch the file and name its copy here"
        )
    return text


def _shown(value: Any) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else f"{value!r:.60}"
