"""What tests of services ask for: see service_programs."""

from service_programs import bucket, credentials, etcd, nodes

__all__ = ["bucket", "credentials", "etcd", "nodes"]
