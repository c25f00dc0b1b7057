"""Failover as a lesson: faults on a local cluster, one after the other, and what leaders and replicas did meanwhile."""
