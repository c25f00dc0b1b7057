"""A small process that waits for the end of a test run and removes its cluster, even if the run was killed.

Brokers outlive the process that started them. Usually the run removes its cluster itself, and nothing is left to do.
"""

import sys
from contextlib import suppress


def main() -> None:
    """Wait for the process of this id to end, then remove the cluster of this name."""
    import psutil

    name, owner = sys.argv[1], int(sys.argv[2])
    with suppress(psutil.NoSuchProcess):
        psutil.Process(owner).wait()
    from sensorstream.errors import SensorstreamError
    from sensorstream.testing.cluster import KafkaCluster

    with suppress(SensorstreamError):
        KafkaCluster(name).delete()


if __name__ == "__main__":
    main()
