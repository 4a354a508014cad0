"""gRPC, loaded by the client here alone: it reads how to treat forks when it is loaded."""

from __future__ import annotations

from . import _fork

with _fork.without_grpc_fork_support():
    import grpc

__all__ = ["grpc"]
