"""Station 5, KAFKA: the included cluster. Jars, the Java runtime, one node, a local cluster, its state."""

from sensorstream.cluster.local import LocalCluster
from sensorstream.cluster.results import BrokerStatus, BrokerStopped, ClusterDown, ClusterStatus, ClusterUp

__all__ = ["BrokerStatus", "BrokerStopped", "ClusterDown", "ClusterStatus", "ClusterUp", "LocalCluster"]
