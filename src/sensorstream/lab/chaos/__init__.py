"""Failover as a lesson: faults on a local cluster, one after the other, and how leaders and replicas change."""
