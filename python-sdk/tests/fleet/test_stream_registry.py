"""Streams that there are, their state read from outside, as files, and dropped: on a fleet of real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fleet_support import eventually, run_cli

import udfleet
from udfleet import (
    DataTypes,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    ValueStateDescriptor,
    keyed_process,
)

PARTITIONS = 3
_TOKEN = "a-token-of-some-length"


class Counting(KeyedProcessFunction):
    """Counts the rows of a key."""

    seen_type = DataTypes.BIGINT()
    with_more = False

    def open(self, runtime_context: Any) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", self.seen_type))
        self.rows = runtime_context.get_list_state(ListStateDescriptor("rows", DataTypes.BIGINT()))
        pages = MapStateDescriptor("pages", DataTypes.STRING(), DataTypes.BIGINT())
        self.pages = runtime_context.get_map_state(pages)
        if self.with_more:
            self.more = runtime_context.get_state(ValueStateDescriptor("more", DataTypes.TIMESTAMP()))

    def process_element(self, value: Any, ctx: Any) -> Any:
        count = int(self.seen.value() or 0) + 1
        self.seen.update(count if self.seen_type.root == "BIGINT" else str(count))
        self.rows.add(value.row)
        self.pages.put(f"page-{value.row % 2}", value.row)
        yield value.row, count


def declared(function: KeyedProcessFunction) -> Any:
    results = [DataTypes.BIGINT(), DataTypes.BIGINT()]
    return keyed_process(function, input_types=[DataTypes.BIGINT()], result_types=results)


def rows(count: int) -> list[pa.RecordBatch]:
    users = [f"user-{number % 5}" for number in range(count)]
    return pa.table({"user": users, "row": pa.array(range(count), pa.int64())}).to_batches(10)


def state_dir(fleet: udfleet.LocalFleet) -> Path:
    command = Path(f"/proc/{fleet.pids['executor-1']}/cmdline").read_text().split("\0")
    return Path(command[command.index("--state-store") + 1])


@pytest.fixture(scope="module")
def own(files_of_tests: None) -> Iterator[udfleet.LocalFleet]:
    with udfleet.local(executors=2, interpreters=1) as fleet:
        config = {"python.fn-execution.bundle.size": 10}
        fleet.register_function("counter", declared(Counting()), config=config, partitions=PARTITIONS)
        yield fleet


def open_stream(fleet: udfleet.Fleet, stream: str, count: int, **options: Any) -> Any:
    table = fleet.from_batches(rows(count))
    return table.key_by("user").process("counter(row)").open_stream(stream, **options)


def run(fleet: udfleet.Fleet, stream: str, count: int, **options: Any) -> list[dict[str, Any]]:
    with open_stream(fleet, stream, count, **options) as opened:
        return [row for bundle in opened for row in bundle.to_pylist()]


def view(fleet: udfleet.Fleet, stream: str) -> Any:
    return next((view for view in fleet.streams() if view.id == stream), None)


def test_a_stream_is_listed_while_it_is_open_and_after(own: udfleet.LocalFleet) -> None:
    with open_stream(own, "listed", 30, commit="manual") as stream:
        next(iter(stream)).commit()
        eventually("it is noted as open", lambda: view(own, "listed").is_open)
        found = view(own, "listed")
        assert (found.function, found.partitions) == ("counter@1", PARTITIONS)
        assert found.coordinator
        assert found.holder
        assert found.opened is not None
        eventually("its position is noted", lambda: view(own, "listed").position == 10)
        with pytest.raises(udfleet.InvalidInputError, match="is open"):
            own.drop_stream("listed")
    eventually("its end is noted", lambda: not view(own, "listed").is_open)
    assert view(own, "listed").position == 10


def test_the_state_of_a_key_is_read_while_its_stream_is_open(own: udfleet.LocalFleet) -> None:
    with open_stream(own, "read", 30, commit="manual") as stream:
        bundles = iter(stream)
        next(bundles).commit()
        next(bundles)
        state = own.stream_state("read")
        expected = {"seen": 2, "rows": [1, 6], "pages": {"page-0": 6, "page-1": 1}}
        assert state.get("user-1") == expected, "what is delivered and not committed does not count"
        assert state.get("user-1", "rows") == [1, 6]
        assert state.get("nobody") == {}
        assert state.get("nobody", "seen") is None
        found = dict(state.items())
        assert set(found) == set(state) == {f"user-{number}" for number in range(5)}
        assert found["user-1"] == expected
    with pytest.raises(udfleet.InvalidInputError, match="no state"):
        own.stream_state("read").get("user-1", "other")
    with pytest.raises(udfleet.InvalidInputError):
        own.stream_state("read").get(1)
    with pytest.raises(udfleet.InvalidInputError, match="no stream"):
        own.stream_state("unknown")


def test_a_dropped_stream_leaves_nothing(own: udfleet.LocalFleet) -> None:
    run(own, "dropped", 20)
    folder = state_dir(own) / own.stream_state("dropped").view.folder
    assert any(path.is_file() for path in folder.rglob("*"))
    own.drop_stream("dropped")
    assert view(own, "dropped") is None
    assert not folder.exists()
    with pytest.raises(udfleet.InvalidInputError, match="no stream"):
        own.drop_stream("dropped")
    assert [row["f1"] for row in run(own, "dropped", 5)] == [1] * 5, "it begins anew"


def test_a_stream_that_is_dropped_by_force_ends_at_its_client(own: udfleet.LocalFleet) -> None:
    with open_stream(own, "forced", 40) as stream:
        bundles = iter(stream)
        next(bundles).commit()
        folder = state_dir(own) / own.stream_state("forced").view.folder
        own.drop_stream("forced", force=True)
        with pytest.raises(udfleet.UdfleetError):
            list(bundles)
    assert view(own, "forced") is None
    assert not folder.exists()


def test_a_stream_belongs_to_one_function(own: udfleet.LocalFleet) -> None:
    own.register_function("another", declared(Counting()), partitions=PARTITIONS)
    run(own, "owned", 10)
    call = own.from_batches(rows(10)).key_by("user").process("another(row)")
    with pytest.raises(udfleet.InvalidInputError, match="is of function"):
        call.open_stream("owned")
    with call.open_stream("owned", reset=True) as stream:
        assert stream.position == 0


def test_a_file_of_a_stream_makes_it_again(own: udfleet.LocalFleet, tmp_path: Path) -> None:
    run(own, "first", 30)
    file = tmp_path / "first.arrow"
    assert own.export_stream("first", str(file)).position == 30
    with pytest.raises(udfleet.InvalidInputError, match="is there already"):
        own.export_stream("first", str(file))
    with pytest.raises(udfleet.InvalidInputError, match="already"):
        own.import_stream(str(file))
    assert own.import_stream(str(file), "second").id == "second"
    assert dict(own.stream_state("second").items()) == dict(own.stream_state("first").items())
    with open_stream(own, "second", 40) as stream:
        assert stream.position == 30
        counts = [row["f1"] for bundle in stream for row in bundle.to_pylist()]
    assert counts == [7] * 5 + [8] * 5
    cut_off = tmp_path / "cut.arrow"
    cut_off.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(udfleet.InvalidInputError):
        own.import_stream(str(cut_off), "third")
    assert view(own, "third") is None


def cli(fleet: udfleet.LocalFleet, *arguments: str) -> Any:
    return json.loads(run_cli(fleet, *arguments, "--json").stdout)


def test_the_command_line_does_the_same(own: udfleet.LocalFleet, tmp_path: Path) -> None:
    run(own, "typed", 10)
    assert "typed" in [found["id"] for found in cli(own, "streams")]
    assert cli(own, "state", "get", "typed", "user-1", "--state", "seen") == 2
    listed = cli(own, "state", "ls", "typed", "--limit", "2")
    assert len(listed) == 2
    assert set(listed[0]["states"]) == {"seen", "rows", "pages"}
    file = str(tmp_path / "typed.arrow")
    assert cli(own, "state", "export", "typed", file)["position"] == 10
    assert cli(own, "state", "import", file, "--as", "typed-2")["id"] == "typed-2"
    assert cli(own, "state", "drop", "typed-2") == {"dropped": "typed-2"}


def test_the_next_version_keeps_state_that_it_can_read(own: udfleet.LocalFleet) -> None:
    config = {"python.fn-execution.bundle.size": 10}
    run(own, "versions", 10)
    more = Counting()
    more.with_more = True
    own.register_function("counter", declared(more), config=config, partitions=PARTITIONS)
    with open_stream(own, "versions", 20) as stream:
        assert (stream.function, stream.position) == ("counter@2", 10)
        assert [row["f1"] for bundle in stream for row in bundle.to_pylist()] == [3] * 5 + [4] * 5
    assert set(own.stream_state("versions").states()) == {"seen", "rows", "pages", "more"}
    other = Counting()
    other.seen_type = DataTypes.STRING()
    own.register_function("counter", declared(other), config=config, partitions=PARTITIONS)
    with pytest.raises(udfleet.InvalidInputError, match=r"'seen'.*BIGINT"):
        run(own, "versions", 30)
    assert own.stream_state("versions").get("user-0", "seen") == 4, "nothing was applied"
    assert [row["f1"] for row in run(own, "versions", 10, reset=True)] == [1] * 5 + [2] * 5
    own.drop_function("counter@3")
    own.drop_function("counter@2")


def _up(folder: Path) -> str:
    command = [sys.executable, "-m", "udfleet", "up", "--detach", "-n", "1", "--data-dir", str(folder)]
    command += ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    environment = {**os.environ, "UDFLEET_TOKEN": _TOKEN}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().partition("export UDFLEET_ADDRESS=")[2].split()[0]


def _down(address: str) -> None:
    command = [sys.executable, "-m", "udfleet", "--address", address, "down"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_fleet_that_is_brought_up_again_in_its_folder_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    address = _up(folder)
    try:
        with udfleet.connect(address, token=_TOKEN) as fleet:
            fleet.register_function("counter", declared(Counting()), partitions=PARTITIONS)
            assert len(run(fleet, "kept", 10)) == 10
        assert any((folder / "state").rglob("*.sst"))
    finally:
        _down(address)
    address = _up(folder)
    try:
        with udfleet.connect(address, token=_TOKEN) as fleet, open_stream(fleet, "kept", 20) as stream:
            assert stream.position == 10
            assert [row["f1"] for bundle in stream for row in bundle.to_pylist()] == [3] * 5 + [4] * 5
    finally:
        _down(address)
