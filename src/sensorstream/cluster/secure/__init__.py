"""Station 5: secured clusters: certificates, passwords, protected listeners, and what clients need to come in."""

from sensorstream.cluster.secure.security import Security, security

__all__ = ["Security", "security"]
