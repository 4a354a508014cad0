"""Functions move by backups from the embedded store and a folder into etcd and a bucket, and back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_support import BIGINT, eventually
from service_programs import Bucket, Nodes

import udfleet
from udfleet import udf


def cli(address: str, *arguments: str) -> Any:
    """What a command of the command line says as JSON."""
    command = [sys.executable, "-m", "udfleet", *arguments]
    environment = {**os.environ, "UDFLEET_ADDRESS": address, "UDFLEET_TOKEN": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return json.loads(done.stdout)


def content(folder: Path) -> dict[str, str]:
    """Hashes of the files of a backup that hold functions and artifacts."""
    files = [path for kind in ("functions", "artifacts") for path in (folder / kind).iterdir()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def register(fleet: udfleet.Fleet, tmp_path: Path) -> None:
    """Two versions of one function, the second with a file that is stored in parts; and one that is dropped."""
    module = tmp_path / "large.py"
    module.write_text(f"NUMBER = 7\nPADDING = {'x' * (12 << 20)!r}\n")

    def number(a):
        import large

        return a + large.NUMBER

    fleet.register_function("plus", udf(lambda a: a + 1, BIGINT, BIGINT))
    fleet.register_function("plus", udf(number, BIGINT, BIGINT), environment=udfleet.Environment(files=[module]))
    fleet.register_function("gone", udf(lambda a: a, BIGINT, BIGINT))
    fleet.drop_function("gone")


def check(address: str) -> None:
    """The functions are served with their versions, and numbers go on."""
    with udfleet.connect(address) as fleet:
        eventually(
            "both are served",
            lambda: [f.state for f in fleet.functions(all_versions=True)] == ["READY", "READY"],
        )
        assert fleet.call("plus@1", [1]).to_pylist() == [2]
        assert fleet.call("plus", [1]).to_pylist() == [8]


def test_there_and_back(nodes: Nodes, bucket: Bucket, etcd: str, credentials: None, tmp_path: Path, request) -> None:
    in_etcd = ["--meta-store", etcd, *bucket.options(request.node.name)]
    stores = {"embedded": [], "etcd": in_etcd, "embedded-again": []}
    backups: list[Path] = []
    for name, options in stores.items():
        address = nodes.coordinator(name, *options)
        nodes.executor(f"e-{name}", address)
        if backups:
            restored = cli(address, "restore", "--json", str(backups[-1]))
            assert (restored["functions"], restored["already_present"]) == (2, 0)
        else:
            with udfleet.connect(address) as fleet:
                register(fleet, tmp_path)
        check(address)
        if options:
            assert not (nodes.folder / name / "artifacts").exists(), "they are in the bucket"
        backups.append(tmp_path / f"backup-{name}")
        assert cli(address, "backup", "--json", str(backups[-1]))["functions"] == 2
        nodes.stop(f"e-{name}")
        if name != "embedded-again":
            nodes.stop(name)
    assert content(backups[0]) == content(backups[1]) == content(backups[2])
    assert len(content(backups[0])) >= 5, "two functions, two payloads and a module"
    with udfleet.connect(address) as fleet:
        nodes.executor("e-last", address)
        assert fleet.register_function("gone", udf(lambda a: a, BIGINT, BIGINT)).version == 2
        assert fleet.register_function("plus", udf(lambda a: a + 3, BIGINT, BIGINT)).version == 3


@pytest.mark.parametrize("stays", ["metadata", "artifacts"])
def test_a_change_of_one_store_alone(nodes: Nodes, bucket: Bucket, etcd: str, credentials: None, tmp_path, stays):
    """The other stays what it was: of metadata in a file, artifacts move; of metadata in etcd, only metadata moves."""
    in_bucket = bucket.options(f"alone-{stays}")
    before = in_bucket if stays == "artifacts" else []
    after = ["--meta-store", f"{etcd}-{stays}", *in_bucket] if stays == "artifacts" else in_bucket
    address = nodes.coordinator("before", *before)
    nodes.executor("e1", address)
    with udfleet.connect(address) as fleet:
        register(fleet, tmp_path)
    cli(address, "backup", "--json", str(tmp_path / "backup"))
    nodes.stop("e1")
    nodes.stop("before")
    address = nodes.coordinator("after", *after)
    nodes.executor("e2", address)
    assert cli(address, "restore", "--json", str(tmp_path / "backup"))["functions"] == 2
    check(address)
