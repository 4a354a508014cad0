"""What `import udfleet` costs and needs, and what it offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import udfleet
from udfleet._client.tables import Tables

SOURCE = Path(udfleet.__file__).parent.parent
WORKER_SIDE = """
import sys
from udfleet import udf, DataTypes, ScalarFunction, FunctionContext, Row, MapView
class Add(ScalarFunction):
    def open(self, context): self.n = int(context.get_job_parameter("n", "1"))
    def eval(self, a): return a + self.n
add = udf(Add, DataTypes.parse("BIGINT"), DataTypes.BIGINT())
add.func.open(FunctionContext(None, {"n": "2"}))
assert add(1) == 3 and Row(a=1).a == 1
from udfleet import col, lit
assert str(add(col("a") + lit(1))) == "Add(a + 1)"
import udfleet._packing.references, udfleet.errors, udfleet.metrics, udfleet.declaration.vectorized
print(sys.version_info[:2])
"""
HEAVY = ["pyarrow", "grpc", "google.protobuf", "click", "rich", "cloudpickle", "numpy", "typing", "inspect"]


def _pythons() -> list[Path]:
    found = Path.home().glob(".pyenv/versions/3.*/bin/python")
    return sorted(path for path in found if int(path.parts[-3].split(".")[1]) >= 9)


def test_import_is_light():
    # Time of the processor: a busy machine takes longer by the clock.
    code = "import sys, time; a = time.process_time(); import udfleet; t = time.process_time() - a\n"
    code += f"print(t, [m for m in {HEAVY} if m in sys.modules])"
    best = 1.0
    for _ in range(5):
        command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {code}"]
        seconds, _, heavy = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition(" ")
        assert heavy.strip() == "[]"
        best = min(best, float(seconds))
    assert best < 0.1


@pytest.mark.parametrize("python", [Path(sys.executable), *_pythons()], ids=lambda path: path.parts[-3])
def test_the_worker_side_runs_on_a_bare_python(python):
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}){WORKER_SIDE}"
    done = subprocess.run([str(python), "-S", "-I", "-B", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_surface_is_frozen():
    expected = [
        "AggregateFunction",
        "AggregatingStateDescriptor",
        "ArtifactMissingError",
        "AsyncScalarFunction",
        "BundleProgressHandler",
        "CallTimeoutError",
        "DataType",
        "DataTypes",
        "Environment",
        "EnvironmentFailedError",
        "Exchange",
        "ExecutorLostError",
        "Expression",
        "Fleet",
        "ForkedProcessError",
        "FunctionContext",
        "FunctionNotFoundError",
        "InfeasibleError",
        "InternalError",
        "InterpreterCrashedError",
        "InvalidConfigError",
        "InvalidDefinitionError",
        "InvalidInputError",
        "InvalidPlanError",
        "KeyedProcessFunction",
        "LimitExceededError",
        "ListStateDescriptor",
        "ListView",
        "LoadError",
        "LocalFleet",
        "MapStateDescriptor",
        "MapView",
        "MemoryExceededError",
        "NoCapacityError",
        "NotPicklableError",
        "PermissionDeniedError",
        "ProcessExit",
        "ReducingStateDescriptor",
        "RemoteException",
        "RemoteFrame",
        "ResultTypeError",
        "Row",
        "RowKind",
        "RuntimeContext",
        "ScalarFunction",
        "StartupError",
        "StateTtlConfig",
        "Table",
        "TableAggregateFunction",
        "TableFunction",
        "UdfleetError",
        "UnauthenticatedError",
        "UnreachableError",
        "UserCodeError",
        "UserDefinedFunction",
        "ValueStateDescriptor",
        "VersionMismatchError",
        "__version__",
        "call",
        "or_",
        "null_of",
        "not_",
        "concat",
        "coalesce",
        "and_",
        "col",
        "connect",
        "if_then_else",
        "keyed_process",
        "lit",
        "local",
        "udaf",
        "udf",
        "udtaf",
        "udtf",
        "replay",
        "Replayed",
    ]
    assert sorted(udfleet.__all__) == sorted(expected)
    assert all(getattr(udfleet, name) is not None for name in udfleet.__all__)
    parts = [part for part in udfleet.Fleet.__mro__ if part not in (Tables, object)]
    methods = [name for part in parts for name in vars(part) if not name.startswith("_")]
    assert sorted(methods) == [
        "backup", "call", "capsules", "certificate_ends", "check", "close", "coordinators", "create_token", "drain", "drop_function", "drop_stream", "exchange", "executors", "export_stream", "function",
        "functions", "http_address", "import_stream", "logs", "meta_store_outage", "profile", "progress", "register_function", "restart", "restore", "revoke_token", "row_errors", "save_capsule", "stream", "stream_state", "streams", "system_table", "tenants", "tokens",
    ]  # fmt: skip
    with pytest.raises(AttributeError):
        _ = udfleet.nothing


def test_versions_agree():
    manifest = SOURCE.parent.parent / "Cargo.toml"
    assert f'version = "{udfleet.__version__}"' in manifest.read_text()
    assert f'version = "{udfleet.__version__}"' in (SOURCE.parent / "pyproject.toml").read_text()
