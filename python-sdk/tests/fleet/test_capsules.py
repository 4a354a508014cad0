"""Batches that failed: kept where the function says so, listed, fetched by who may, and run again elsewhere."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_support import BIGINT, STRING, eventually, run_cli

import udfleet
from udfleet import col, udf

SECRET_NAME = "Ada of the hidden street"


class Share(udfleet.ScalarFunction):
    """What each of so many gets; the total is a parameter of the job."""

    def open(self, function_context):
        self.total = int(function_context.get_job_parameter("total", "0"))

    def eval(self, parts, name):
        return self.total // parts


def share_mended(parts, name):
    return 0 if parts == 0 else 12 // parts


def dies(value):
    if value == 3:
        os._exit(7)
    return value


KEPT = {"udfleet.capsules": "errors"}


@pytest.fixture(scope="module", autouse=True)
def failed(fleet: udfleet.LocalFleet) -> None:
    with udfleet.connect(fleet.address, fleet.token, job_parameters={"total": "12"}) as job:
        declared = udf(Share(), [BIGINT, STRING], BIGINT)
        job.register_function("share", declared, config=KEPT)
        job.register_function("share_redacted", declared, config={**KEPT, "udfleet.capsules.redact": "1"})
        job.register_function("share_silent", declared)
        job.register_function("share_staged", declared, config=KEPT)
        job.register_function("dies", udf(dies, BIGINT, BIGINT, deterministic=False), config=KEPT)
    for name in ("share", "share_redacted", "share_silent"):
        assert fleet.call(name, [3, 4], ["a", "b"]).to_pylist() == [4, 3]
        with pytest.raises(udfleet.UserCodeError):
            fleet.call(name, [4, 0, 2], ["a", SECRET_NAME, "c"])
    with pytest.raises(udfleet.InterpreterCrashedError):
        fleet.call("dies", [1, 2, 3])


def kept(fleet: udfleet.Fleet, name: str) -> udfleet._client.capsules.CapsuleView:
    (capsule,) = eventually(f"a batch of {name} is kept", lambda: fleet.capsules(name))
    return capsule


@pytest.fixture
def saved(fleet: udfleet.LocalFleet, tmp_path: Path):
    def save(name: str) -> Path:
        path = tmp_path / f"{name}.capsule"
        fleet.save_capsule(kept(fleet, name).id, path)
        return path

    return save


def test_only_who_asks_for_it_keeps_batches(fleet):
    capsule = kept(fleet, "share")
    assert (capsule.function, capsule.code, capsule.exception) == ("share@1", "USER_CODE", "ZeroDivisionError")
    assert (capsule.rows, capsule.kept_rows, capsule.redacted) == (3, 3, [])
    assert fleet.capsules("share_silent") == []
    assert kept(fleet, "dies").code == "INTERPRETER_CRASHED"
    listed = run_cli(fleet, "errors", "share")
    assert capsule.id in listed.stdout and f"udfleet replay {capsule.id}" in listed.stderr


def test_a_capsule_has_what_it_takes_and_a_redacted_one_no_values(fleet, saved):
    path = saved("share")
    assert path.stat().st_mode & 0o077 == 0
    content = path.read_bytes()
    assert SECRET_NAME.encode() in content and b"ZeroDivisionError" in content
    redacted = saved("share_redacted").read_bytes()
    assert SECRET_NAME.encode() not in redacted and b"ZeroDivisionError" in redacted
    with pytest.raises(udfleet.InvalidInputError, match="exists"):
        fleet.save_capsule(kept(fleet, "share").id, path)
    with pytest.raises(udfleet.InvalidInputError, match="no executor has"):
        fleet.save_capsule("0" * 16, path.with_name("other"))


def test_values_are_for_the_role_inspect_and_its_functions(fleet, tmp_path):
    capsule = kept(fleet, "share").id

    def read(*roles: str, functions: tuple[str, ...] = ()) -> None:
        name = "-".join(["reader", *roles, *(pattern.rstrip("_*") for pattern in functions)])
        token = fleet.create_token(name, roles, functions=functions).token
        with udfleet.connect(fleet.address, token) as reader:
            assert reader.capsules("share")[0].id == capsule
            reader.save_capsule(capsule, tmp_path / name)

    read("inspect")
    read("inspect", functions=("sha*",))
    with pytest.raises(udfleet.PermissionDeniedError):
        read("observe", "call", "register")
    with pytest.raises(udfleet.PermissionDeniedError, match="share"):
        read("inspect", functions=("other_*",))


def test_the_page_gives_the_same_file(fleet, saved):
    capsule = kept(fleet, "share").id

    def get(token: str | None) -> tuple[int, str, bytes]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection = http.client.HTTPConnection(fleet.http_address, timeout=30)
        try:
            connection.request("GET", f"/api/v1/capsules/{capsule}/file", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["content-disposition"], answer.read()
        finally:
            connection.close()

    status, name, content = get(fleet.token)
    assert (status, name) == (200, f'attachment; filename="share@1-{capsule}.capsule"')
    assert content == saved("share").read_bytes()
    looks_only = fleet.create_token("looks-only", ["observe"]).token
    assert [get(token)[0] for token in (None, looks_only)] == [401, 403]


def test_it_fails_again_elsewhere_until_its_code_is_mended(saved):
    path = saved("share")
    replayed = udfleet.replay(path)
    assert replayed.still_fails and replayed.same
    assert replayed.error.row == 1 and replayed.error.exception.type == "ZeroDivisionError"
    mended = udfleet.replay(path, udf(share_mended, [BIGINT, STRING], BIGINT))
    assert (mended.still_fails, mended.original.code) == (False, "USER_CODE")


def test_a_crash_is_replayed_too(fleet):
    done = run_cli(fleet, "replay", kept(fleet, "dies").id, "--json", status=1)
    assert '"same": true' in done.stdout, done.stderr


def test_pdb_stands_where_it_raised(fleet):
    keys = "p ('parts are', parts, self.total)\nq\n"
    done = run_cli(fleet, "replay", kept(fleet, "share").id, "--pdb", input=keys, status=1)
    assert "('parts are', 0, 12)" in done.stdout and "ZeroDivisionError" in done.stderr


def test_a_test_is_written_that_fails_until_it_is_mended(fleet, tmp_path):
    path = tmp_path / "test_share_again.py"
    run_cli(fleet, "replay", kept(fleet, "share").id, "--write-test", str(path))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 1 and "ZeroDivisionError" in ran.stdout, ran.stdout + ran.stderr


def test_a_stage_of_a_query_is_kept_and_replayed(fleet, tmp_path):
    table = fleet.from_elements([(6, "x"), (0, "y")], ["parts", "name"])
    with pytest.raises(udfleet.UserCodeError):
        table.select(udfleet.call("share_staged", col("parts") + 0, col("name"))).to_pylist()
    fleet.save_capsule(kept(fleet, "share_staged").id, tmp_path / "stage.capsule")
    assert udfleet.replay(tmp_path / "stage.capsule").same
