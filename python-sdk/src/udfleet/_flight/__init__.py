"""The data plane: batches to executors and back over Arrow Flight."""
