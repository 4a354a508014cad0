"""A capsule under pdb: its function in the Python of its own environment, as a process at this terminal."""

from __future__ import annotations

import datetime
import json
import os
import pickle
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from .. import _private_file
from .._proto.udfleet.v1 import function_pb2
from ..errors import InvalidInputError
from ..row import Row
from .capsule_file import CapsuleFile

_PACKAGE = Path(__file__).parent.parent
_MAIN = Path(__file__).with_name("debugger_main.py")


def check(capsule: CapsuleFile) -> None:
    """:raises InvalidInputError: it can't be run there."""
    kinds = (function_pb2.SCALAR, function_pb2.TABLE)
    if capsule.message.HasField("stage") or capsule.message.functions[0].kind not in kinds:
        raise InvalidInputError(
            "--pdb runs scalar and table functions that were called by themselves, and no stages of queries",
            hint="leave --pdb out",
        )


def debug(capsule: CapsuleFile, environments: Path, name: str, secrets: Mapping[str, str]) -> int:
    """Runs it, and gives the terminal to pdb where it raises. Returns the status of the process: 0, it did not.

    :param environments: where built environments lie.
    :param name: the environment's.
    :param secrets: values of those that the function asks for.
    """
    built = _built(environments, name)
    with tempfile.TemporaryDirectory(prefix="udfleet-replay-") as folder:
        (Path(folder) / "udfleet").symlink_to(_PACKAGE)
        job = Path(folder) / "job.pickle"
        job.write_bytes(pickle.dumps({**_job(capsule), "sys_path": built["sys_path"], "sdk": folder}, protocol=4))
        command = [built["python"], str(_MAIN), str(job)]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "UDFLEET_"))}
        variables = {**clean, **capsule.message.functions[0].variables, **_secrets(capsule, secrets, Path(folder))}
        return subprocess.run(command, cwd=built["working_dir"], env=variables, check=False).returncode


def _secrets(capsule: CapsuleFile, values: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables of the secrets that the function asks for, which are files too, as in a fleet."""
    asked = {name: values[name] for name in capsule.message.functions[0].secrets}
    if not asked:
        return {}
    # No name that can be imported: the folder above is on the path.
    place = folder / "secret-values"
    place.mkdir(0o700)
    for name, value in asked.items():
        with _private_file.create(place / name) as file:
            file.write(value.encode())
    # As interpreters have them: without a line end, and none that can't be a variable.
    variables = {
        name: value.removesuffix("\n").removesuffix("\r") for name, value in asked.items() if "\0" not in value
    }
    return {**variables, "UDFLEET_SECRETS_DIR": str(place)}


def _built(environments: Path, name: str) -> dict[str, Any]:
    for marker in sorted(environments.glob(f"{name}*/complete.json")):
        return dict(json.loads(marker.read_text()))
    raise InvalidInputError(f"environment {name} is not in {environments}")


def _job(capsule: CapsuleFile) -> dict[str, Any]:
    definition, batch = capsule.message.functions[0], capsule.batch()
    files = capsule.files()
    general = definition.func_type not in (function_pb2.PANDAS, function_pb2.ARROW)
    row = (
        capsule.message.error.row - capsule.message.summary.first_row if capsule.message.error.HasField("row") else None
    )
    return {
        "name": capsule.function,
        "func_type": function_pb2.FuncType.Name(definition.func_type),
        "payload": files[definition.payload.hash],
        "pickle_support": files.get(definition.pickle_support.hash, b""),
        "columns": [_values(column) for column in batch.columns] if general else [],
        "batch": b"" if general else bytes(capsule.message.input),
        "rows": batch.num_rows,
        "row": row if row is not None and 0 <= row < batch.num_rows else None,
        "parameters": dict(definition.job_parameters),
        "sources": dict(definition.source_files),
    }


def _values(column: pa.Array) -> list[Any]:
    """As an interpreter gives them to a function."""
    if pa.types.is_timestamp(column.type):
        # Python's own datetime has microseconds.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return [_value(value, column.type) for value in column.to_pylist()]


def _value(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_struct(kind):
        return Row(**{field.name: _value(value[field.name], field.type) for field in kind})
    if pa.types.is_map(kind):
        return {_value(key, kind.key_type): _value(item, kind.item_type) for key, item in value}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_value(item, kind.value_type) for item in value]
    if isinstance(value, datetime.timedelta):
        return datetime.timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
    return value
