"""The embedded test cluster: a real Kubernetes without a Docker engine, for tests and demos."""

from cluster.api import Cluster
from cluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError"]
