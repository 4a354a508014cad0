"""Bills of materials of a release: complete for what is compiled in, and nothing else. `make release` makes all of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from service_programs import ROOT

PYTHON = ROOT / "target" / "release-tools" / "bin" / "python"
MAKE = """
import sys
from pathlib import Path
from cyclonedx.model.component import ComponentType
from release import bills, crates, scripts
others = bills.required(["click>=8.1"]) + bills.installed("deb", [("libc6", "2.36-9+deb12u13")])
others += bills.installed("pypi", [("uv", "0.13.8")])
others += bills.scripts(scripts.bundled())
print(bills.bill(Path(sys.argv[1]), ComponentType.APPLICATION, "1.2.3", 0.0, crates.compiled_in(), others))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "file"
    path.write_bytes(b"published")
    return path


@pytest.fixture(scope="module")
def bill(file: Path) -> dict:
    command = [PYTHON, "-c", MAKE, file]
    first, again = (subprocess.run(command, cwd=ROOT / "deploy", check=True, capture_output=True).stdout for _ in "ab")
    assert first == again, "the same file has the same bill"
    return json.loads(first)


def test_what_is_compiled_in_is_named_with_its_hash_and_license(bill):
    crates = {one["name"]: one for one in bill["components"] if one["purl"].startswith("pkg:cargo/")}
    own = {name for name, one in crates.items() if "hashes" not in one}
    assert own == {name for name in crates if name.startswith("udfleet-")}
    assert {"udfleet-coordinator", "udfleet-executor", "udfleet-interpreter", "udfleet-clickhouse"} <= own
    assert {"tokio", "object_store", "pyo3", "arrow-array"} <= set(crates)
    assert all(one["licenses"] for one in crates.values())
    # Tests, macros and tools of the build are not in the programs.
    assert not {"proptest", "serde_derive", "prost-build"} & set(crates)


def test_every_locked_crate_of_the_programs_is_there_in_its_version(bill):
    # As cargo itself lists what is linked, which knows nothing of the bill.
    listed = set()
    for program in ("udfleet-coordinator", "udfleet-executor", "udfleet-interpreter", "udfleet-clickhouse"):
        command = ["cargo", "tree", "--locked", "--package", program, "--edges", "normal,no-proc-macro"]
        command += ["--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--format", "{p}"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        listed |= {tuple(line.split()[:2]) for line in done.stdout.splitlines() if line[:7] not in ("", "udfleet")}
    crates = {(one["name"], f"v{one['version']}") for one in bill["components"] if "pkg:cargo/" in one["purl"]}
    assert len(listed) > 200
    # A few more, which only features that tests ask for bring along.
    missing = listed - crates
    assert not missing


def test_the_dashboards_packages_are_there(bill):
    project = json.loads((ROOT / "coordinator" / "dashboard" / "package.json").read_text())
    packages = {
        one["bom-ref"].split(":")[1].rpartition("@")[0]: one for one in bill["components"] if "npm:" in one["bom-ref"]
    }
    assert set(project["dependencies"]) <= set(packages)
    assert not set(project["devDependencies"]) & set(packages)
    assert all(one["version"] and one["licenses"] and one["hashes"] for one in packages.values())


def test_it_is_of_one_file_and_names_other_packages_too(bill, file):
    (digest,) = bill["metadata"]["component"]["hashes"]
    assert digest["content"] == hashlib.sha256(file.read_bytes()).hexdigest()
    others = {one["purl"] for one in bill["components"]} & {
        "pkg:pypi/click",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13",
        "pkg:pypi/uv@0.13.8",
    }
    assert len(others) == 3
    references = {one["bom-ref"] for one in bill["components"]} | {"udfleet"}
    edges = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    reached, to_visit = set(), ["udfleet"]
    while to_visit:
        reference = to_visit.pop()
        if reference not in reached:
            reached.add(reference)
            to_visit += edges.get(reference, [])
    assert reached == references, "each is there for something"
