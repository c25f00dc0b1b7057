"""Station 5: secured clusters: certificates, passwords, protected listeners, and what clients need to log in."""

from sensorstream.cluster.secure.security import Security, security

__all__ = ["Security", "security"]
