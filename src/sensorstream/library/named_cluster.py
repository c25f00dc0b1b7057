"""``-b cluster:NAME``: the addresses of a cluster of this machine, and what its clients need to log in."""

from dataclasses import replace

from sensorstream import config
from sensorstream.addresses import named_cluster


def resolved(settings: config.Settings) -> config.Settings:
    """The settings with addresses in place of a cluster's name; properties that the user gave win over the cluster's.

    Raises ClusterUnreachable for a cluster that does not exist or run, UsageError for what can't be a name.
    """
    name = named_cluster(settings.bootstrap)
    if name is None:
        return settings
    from sensorstream.cluster.named import reach

    found = reach(name)
    origin = f"cluster {name}"
    # The user's stand behind the cluster's: of two names for the same thing the last one holds.
    added = {key: config.hidden(key, value) for key, value in found.properties.items()}
    origins = {**{f"properties.{key}": origin for key in added}, **settings.origins}
    origins["bootstrap"] = f"{origin}, {settings.origins.get('bootstrap', 'built-in')}"
    given = settings.properties
    properties = {**{key: value for key, value in added.items() if key not in given}, **given}
    return replace(settings, bootstrap=found.bootstrap, properties=properties, origins=origins)
