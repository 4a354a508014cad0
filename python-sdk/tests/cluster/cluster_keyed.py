"""Keyed streams that go on all the time, whatever fails: what their clients have seen is checked in the end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
from cluster_fleet import ClusterFleet
from cluster_programs import eventually
from keyed_chain import CHAIN, batch, probe, sent
from keyed_history import History

import udfleet

FUNCTION = "chain"
PARTITIONS = 8
_STREAMS = 3
_ROWS = 20
_PAUSE = 0.05
_SCHEMA = batch(range(0)).schema


def prepare_keyed(fleet: ClusterFleet) -> None:
    """Registers the function."""
    with fleet.client() as client:
        config = {"python.fn-execution.bundle.size": _ROWS}
        client.register_function(FUNCTION, CHAIN, config=config, partitions=PARTITIONS)


class KeyedStreams:
    """Runs as long as the context lasts. Streams are new each time: `run`."""

    def __init__(self, fleet: ClusterFleet, run: str) -> None:
        self._fleet = fleet
        self._stop = threading.Event()
        self._streams = [f"{run}-{number}" for number in range(_STREAMS)]
        self._histories = {stream: History() for stream in self._streams}
        self._sent = dict.fromkeys(self._streams, 0)
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(stream,), daemon=True) for stream in self._streams]

    def __enter__(self) -> KeyedStreams:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90.0)
        if kind is None:
            assert not any(thread.is_alive() for thread in self._threads), "a keyed stream has not ended"
            self._raise()
            for stream in self._streams:
                self._histories[stream].check(sent(self._sent[stream]), self._applied(stream))
            doubtful = sum(len(history.doubtful) for history in self._histories.values())
            print(f"  keyed streams: {sum(self._sent.values())} rows, {doubtful} bundles came at most once", flush=True)

    def go_on(self, rows: int = 3 * _ROWS, seconds: float = 90.0) -> None:
        """Waits until each stream has committed so many more rows."""
        wanted = {stream: len(history.released) + rows for stream, history in self._histories.items()}

        def all_have() -> bool:
            self._raise()
            return all(len(self._histories[stream].released) >= count for stream, count in wanted.items())

        eventually("keyed streams go on", all_have, seconds)

    def _raise(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _run(self, stream: str) -> None:
        try:
            with self._fleet.client() as client:
                while not self._stop.is_set():
                    try:
                        self._once(client, stream, self._batches(), _PAUSE)
                    except udfleet.InvalidInputError:
                        raise
                    except udfleet.UdfleetError:
                        time.sleep(0.2)
                self._end(client, stream)
        except BaseException as error:
            self._failures.append(error)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """The same rows in the same order each time, until the end."""
        for number in itertools.count():
            if self._stop.is_set():
                return
            yield batch(range(number * _ROWS, (number + 1) * _ROWS))

    def _once(self, client: udfleet.Fleet, stream: str, batches: Iterator[pa.RecordBatch], pause: float) -> None:
        history = self._histories[stream]
        table = client.from_batches(batches, schema=_SCHEMA).key_by("key").process(f"{FUNCTION}(row)")
        with table.open_stream(stream, commit="manual") as opened:
            history.opened(opened.position)
            for bundle in opened:
                history.delivered(bundle.first_row, bundle.rows, bundle.to_pylist())
                history.committing()
                bundle.commit()
                history.committed()
                if pause and self._stop.wait(pause):
                    return

    def _end(self, client: udfleet.Fleet, stream: str) -> None:
        """One bundle more, so that none is applied in some of the partitions only."""
        deadline = time.monotonic() + 60
        count = 0
        while True:
            try:
                count = count or self._position(client, stream) + _ROWS
                self._once(client, stream, iter([batch(range(count))]), 0.0)
                self._sent[stream] = count
                return
            except udfleet.UdfleetError as error:
                assert time.monotonic() < deadline, f"stream {stream} can't be ended: {error}"
                time.sleep(0.2)

    def _position(self, client: udfleet.Fleet, stream: str) -> int:
        table = client.from_batches([batch(range(0))]).key_by("key").process(f"{FUNCTION}(row)")
        with table.open_stream(stream, commit="manual") as opened:
            self._histories[stream].opened(opened.position)
            position: int = opened.position
            return position

    def _applied(self, stream: str) -> dict[str, list[int]]:
        with self._fleet.client() as client:
            table = client.from_batches([batch(range(self._sent[stream])), probe()])
            with table.key_by("key").process(f"{FUNCTION}(row)").open_stream(stream, commit="manual") as opened:
                assert opened.position == self._sent[stream]
                return {result["key"]: result["all"] for result in next(iter(opened)).to_pylist()}
