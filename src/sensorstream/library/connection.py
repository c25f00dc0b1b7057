"""Where the cluster is and how clients log in: from plain values to settings."""

from collections.abc import Mapping, Sequence

from sensorstream import config
from sensorstream.addresses import parse_addresses
from sensorstream.library.named_cluster import resolved

Servers = str | Sequence[str]
"""``"host:port,host:port"``, a sequence of such addresses, or ``"cluster:NAME"`` for a cluster of this machine."""


def settings_for(
    bootstrap: Servers,
    client: str = "auto",
    properties: Mapping[str, str] | None = None,
    **values: object,
) -> config.Settings:
    """Settings for these servers; ``values`` are further fields of :class:`~sensorstream.config.Settings`.

    Raises ConfigError for a wrong address or property, ClusterUnreachable for a named cluster that does not run.
    """
    text = bootstrap if isinstance(bootstrap, str) else ",".join(bootstrap)
    given = {name: config.hidden(name, value) for name, value in (properties or {}).items()}
    made = config.Settings(bootstrap=parse_addresses(text, "bootstrap"), client=client, properties=given, **values)  # type: ignore[arg-type]
    return resolved(made)
