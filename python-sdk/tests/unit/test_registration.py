"""The control plane against an in-process gRPC server."""

from __future__ import annotations

from concurrent import futures

import grpc
import pytest

import udfleet
from udfleet import Fleet, udf
from udfleet._proto.udfleet.v1 import error_pb2, fleet_pb2


class FakeCoordinator:
    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.largest_chunk = 0
        self.tokens: set[str] = set()
        self.failure: error_pb2.ErrorInfo | None = None
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        unary, streamed = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        answer = {"response_serializer": lambda message: message.SerializeToString()}
        fleet = {
            "RegisterFunction": streamed(
                self.register, request_deserializer=fleet_pb2.RegisterFunctionRequest.FromString, **answer
            ),
            "DescribeFunction": unary(
                self.describe, request_deserializer=fleet_pb2.DescribeFunctionRequest.FromString, **answer
            ),
        }
        artifacts = {
            "Missing": unary(self.missing, request_deserializer=fleet_pb2.MissingArtifactsRequest.FromString, **answer),
            "Put": grpc.stream_unary_rpc_method_handler(
                self.put, request_deserializer=fleet_pb2.ArtifactChunk.FromString, **answer
            ),
        }
        for name, handlers in (("Fleet", fleet), ("Artifacts", artifacts)):
            self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"udfleet.v1.{name}", handlers)])
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def missing(self, request, context):
        self.tokens.add(dict(context.invocation_metadata()).get("authorization", ""))
        return fleet_pb2.MissingArtifactsResponse(hashes=[h for h in request.hashes if h not in self.stored])

    def put(self, chunks, context):
        first = next(chunks)
        data = [chunk.data for chunk in chunks]
        self.largest_chunk = max(map(len, data))
        self.stored[first.hash] = b"".join(data)
        return fleet_pb2.PutArtifactResponse()

    def register(self, request, context):
        yield fleet_pb2.RegistrationEvent(progress="placed on executor-1")
        if self.failure is not None:
            yield fleet_pb2.RegistrationEvent(failed=self.failure)
            return
        ready = fleet_pb2.FunctionInfo(definition=request.definition, state=4)
        ready.definition.version = 1
        yield fleet_pb2.RegistrationEvent(ready=ready)

    def describe(self, request, context):
        info = error_pb2.ErrorInfo(code=error_pb2.FUNCTION_NOT_FOUND, message="no function", hint="did you mean?")
        context.set_trailing_metadata([("grpc-status-details-bin", info.SerializeToString())])
        context.abort(grpc.StatusCode.NOT_FOUND, "flattened")


@pytest.fixture
def coordinator():
    made = FakeCoordinator()
    yield made
    made.server.stop(None).wait()


def test_a_registration_sends_what_is_missing_once(coordinator, tmp_path):
    (tmp_path / "big.zip").write_bytes(b"x" * (3 << 20))
    environment = udfleet.Environment(archives=[tmp_path / "big.zip"])
    declared = udf(lambda a: a, "BIGINT", "BIGINT")
    with Fleet(coordinator.address, token="secret") as fleet:
        events: list[str] = []
        view = fleet.register_function("f", declared, environment, on_event=events.append)
        assert (view.reference, view.state) == ("f@1", "READY")
        assert events[0].startswith("sending 3 of 3 artifacts, 3.") and events[1:] == ["placed on executor-1"]
        assert len(coordinator.stored) == 3 and coordinator.largest_chunk == 1 << 20
        events.clear()
        fleet.register_function("f", declared, environment, on_event=events.append)
        assert events == ["placed on executor-1"]
    assert coordinator.tokens == {"Bearer secret"}


def test_failures_are_typed(coordinator):
    coordinator.failure = error_pb2.ErrorInfo(code=error_pb2.ENVIRONMENT_FAILED, message="no package nope")
    with Fleet(coordinator.address) as fleet:
        with pytest.raises(udfleet.EnvironmentFailedError) as failed:
            fleet.register_function("f", udf(lambda: 1, [], "INT"))
        assert failed.value.message == "no package nope"
        with pytest.raises(udfleet.FunctionNotFoundError) as caught:
            fleet.function("f")
        assert caught.value.hint == "did you mean?"
        with pytest.raises(udfleet.InvalidDefinitionError) as caught:
            fleet.register_function("f", lambda: 1)
        assert "@udf" in caught.value.hint


def refusal(**given):
    return error_pb2.ErrorInfo(code=error_pb2.NO_CAPACITY, message="it reaches no executor", **given)


@pytest.fixture
def another():
    made = FakeCoordinator()
    yield made
    made.server.stop(None).wait()


def test_what_one_coordinator_has_no_executors_for_is_asked_of_another(coordinator, another):
    coordinator.failure = refusal(has_no_side_effects=True)
    with Fleet([coordinator.address, another.address]) as fleet:
        assert fleet.register_function("add", udf(lambda i: i, "BIGINT", "BIGINT")).reference == "add@1"


@pytest.mark.parametrize("untouched", [True, False])
def test_a_registration_that_all_refuse_fails(coordinator, another, untouched):
    coordinator.failure = another.failure = refusal(has_no_side_effects=untouched)
    with Fleet([coordinator.address, another.address]) as fleet, pytest.raises(udfleet.NoCapacityError):
        fleet.register_function("add", udf(lambda i: i, "BIGINT", "BIGINT"))
