"""What tests of services ask for: see service_programs."""

from service_programs import bucket, credentials, nodes

__all__ = ["bucket", "credentials", "nodes"]
