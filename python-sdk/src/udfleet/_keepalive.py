"""How long a peer may be silent until its connection is given up. Needs no other package."""

OPTIONS = [
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Also while nothing but pings goes over the connection, as during a long call.
    ("grpc.http2.max_pings_without_data", 0),
    # While data flows gRPC sends pings of its own, and waits for their answers for a minute instead of the above.
    ("grpc.http2.ping_timeout_ms", 10_000),
]
"""For connections over which batches go: a machine that stands still is noticed within 10 to 15 seconds."""
