"""`replay`: a capsule's batch through its function, in a private fleet that builds the function's own environment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from .. import _failures
from .._client.registration import to_stderr
from .._flight import codec
from .._local.fleet import LocalFleet, environments_folder, local
from .._packing.definition import build
from .._packing.shipment import Shipment
from .._proto.udfleet.v1 import cluster_pb2, exchange_pb2, fleet_pb2, function_pb2
from ..declaration import UserDefinedFunctionWrapper
from ..environment import Environment
from ..errors import ArtifactMissingError, InvalidInputError, StartupError, UdfleetError
from .capsule_file import CapsuleFile

_READY_SECONDS = 600.0
_POLL_SECONDS = 0.05
_ELSEWHERE = ("udfleet.capsules", "udfleet.capsules.redact", "udfleet.executors", "udfleet.interpreters")
"""Keys that say how the fleet runs it."""


@dataclass(frozen=True)
class Replayed:
    """How a batch has ended that failed before."""

    function: str
    original: UdfleetError
    """What it failed with then."""
    error: UdfleetError | None
    """What it fails with now; None: it does not fail any more."""

    @property
    def still_fails(self) -> bool:
        """It fails, in whatever way."""
        return self.error is not None

    @property
    def same(self) -> bool:
        """It fails with the same code and the same exception."""
        return self.error is not None and _kind(self.error) == _kind(self.original)


def _kind(error: UdfleetError) -> tuple[str, str]:
    return error.code, error.exception.type if error.exception else ""


def replay(
    capsule: str | os.PathLike[str] | CapsuleFile,
    function: UserDefinedFunctionWrapper[..., Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
    on_event: Callable[[str], None] | None = None,
) -> Replayed:
    """Runs a batch that failed again, on this machine, in the environment that its function was registered with.

    :param capsule: a file that `udfleet replay --save`, `Fleet.save_capsule` or the dashboard has written.
    :param function: runs this one in place of the code that failed: a mended one, declared with `@udf`.
    :param secrets: values of the secrets that it asks for: a capsule has none.
    """
    held = capsule if isinstance(capsule, CapsuleFile) else CapsuleFile.read(capsule)
    with contextlib.closing(PrivateRun(held, function, secrets or {}, on_event or to_stderr)) as run:
        return run.replayed()


class PrivateRun:
    """A fleet of its own that holds the functions of one capsule."""

    def __init__(
        self,
        capsule: CapsuleFile,
        function: UserDefinedFunctionWrapper[..., Any] | None,
        secrets: Mapping[str, str],
        report: Callable[[str], None],
    ) -> None:
        self.capsule = capsule
        self._batch = capsule.batch()
        self._report = report
        shipment = Shipment()
        self.definitions = [_alone(definition) for definition in capsule.message.functions]
        if function is not None:
            self.definitions = [_mended(self.definitions, function, shipment)]
        _ship(self.definitions, capsule.files(), shipment)
        asked = {name for definition in self.definitions for name in definition.secrets}
        if missing := sorted(asked - set(secrets)):
            raise InvalidInputError(
                f"{capsule.function} asks for the secrets {', '.join(missing)}, and a capsule holds none",
                hint="give their values: --secret NAME, or replay(secrets={...})",
            )
        self._fleet = local(executors=1, interpreters=1, secrets=dict(secrets) or None, on_event=report)
        try:
            shipment.send(self._fleet._rpc, report, None)
            for definition in self.definitions:
                self._fleet._rpc.import_function(fleet_pb2.ImportFunctionRequest(definition=definition))
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> str:
        """The hash of the environment that they run in."""
        return str(self._fleet._rpc.describe(_name(self.definitions[0])).environment)

    @property
    def environments(self) -> Path:
        """Where built environments lie."""
        return environments_folder(None)

    def close(self) -> None:
        """Ends the fleet."""
        self._fleet.close()

    def replayed(self) -> Replayed:
        """How the batch ends now."""
        error = self.ready()
        if error is None:
            self._report(f"running {self._batch.num_rows} rows of {self.capsule.function}")
            error = _run(self._fleet, self._request(), self._batch)
        return Replayed(self.capsule.function, self.capsule.error, error)

    def ready(self) -> UdfleetError | None:
        """Waits until the functions can be called; why one can't be loaded."""
        deadline = time.monotonic() + _READY_SECONDS
        for name in map(_name, self.definitions):
            self._report(f"preparing {name}: its environment is built where it is not here yet")
            while (info := self._fleet._rpc.describe(name)).state != cluster_pb2.READY:
                failed = [on.status.error for on in info.executors if on.status.state == cluster_pb2.FAILED]
                if failed:
                    return _failures.from_info(failed[0])
                if time.monotonic() > deadline:
                    raise StartupError(f"{name} can't be called here: {info.reason or 'it is not ready'}")
                time.sleep(_POLL_SECONDS)
        return None

    def _request(self) -> exchange_pb2.ExchangeRequest:
        message = self.capsule.message
        request = exchange_pb2.ExchangeRequest(on_error=message.on_error)
        if message.HasField("stage"):
            request.stage.CopyFrom(message.stage)
        else:
            request.function = _name(self.definitions[0])
        return request


def _name(definition: function_pb2.FunctionDefinition) -> str:
    return f"{definition.name}@{definition.version}"


def _alone(definition: function_pb2.FunctionDefinition) -> function_pb2.FunctionDefinition:
    """Without what only its own fleet has: labels, devices, a tenant."""
    alone = function_pb2.FunctionDefinition()
    alone.CopyFrom(definition)
    for field in ("labels", "resources", "tenant"):
        alone.ClearField(field)
    for key in _ELSEWHERE:
        alone.config.pop(key, None)
    return alone


def _mended(
    definitions: list[function_pb2.FunctionDefinition],
    function: UserDefinedFunctionWrapper[..., Any],
    shipment: Shipment,
) -> function_pb2.FunctionDefinition:
    """The definition with other code."""
    if len(definitions) != 1:
        raise InvalidInputError("the batch went through several functions at once, of which one can't be replaced")
    (old,) = definitions
    environment = Environment(python=old.environment.python or None)
    new = build(old.name, function, environment, dict(old.config), dict(old.job_parameters), old.job, shipment)
    packed = list(new.environment.files)
    new.environment.CopyFrom(old.environment)
    # Modules that it brings along come before those of the code that failed.
    del new.environment.files[:]
    new.environment.files.extend([*packed, *old.environment.files])
    new.version = old.version
    new.secrets.extend(old.secrets)
    new.variables.update(old.variables)
    return new


def _artifacts(definition: function_pb2.FunctionDefinition) -> list[function_pb2.Artifact]:
    environment = definition.environment
    single = [definition.payload, definition.pickle_support, environment.requirements_cache]
    return [artifact for artifact in (*single, *environment.files, *environment.archives) if artifact.hash]


def _ship(definitions: list[function_pb2.FunctionDefinition], files: dict[str, bytes], shipment: Shipment) -> None:
    for artifact in (artifact for definition in definitions for artifact in _artifacts(definition)):
        if artifact.hash in files:
            shipment.add_bytes(artifact.name, files[artifact.hash])
        elif not shipment.holds(artifact.hash):
            raise ArtifactMissingError(f"the capsule lacks {artifact.name} ({artifact.size} bytes)")


def _run(fleet: LocalFleet, request: exchange_pb2.ExchangeRequest, batch: pa.RecordBatch) -> UdfleetError | None:
    """The error that the batch gets, sent as its first sender has sent it."""
    (executor,) = fleet.executors()
    headers = [(b"authorization", f"Bearer {fleet.token}".encode())]
    with flight.FlightClient(f"grpc+tcp://{executor.address}") as client:
        options = flight.FlightCallOptions(headers=headers)
        writer, reader = client.do_exchange(codec.descriptor(request.SerializeToString(), "replay"), options)
        try:
            # A stream that has failed takes nothing more: why is read below.
            with contextlib.suppress(pa.ArrowException, OSError):
                writer.begin(batch.schema)
                writer.write_with_metadata(batch, codec.header(0, 1))
                writer.done_writing()
            while True:
                answer = codec.answer(reader.read_chunk().app_metadata)
                if answer.HasField("error"):
                    return _failures.from_info(answer.error)
        except StopIteration:
            return None
        except (pa.ArrowException, OSError) as error:
            return _failures.from_flight(error, executor.address)
