"""One frozen settings object, and where each of its values came from.

Precedence: flag > ``-X key=value`` > ``SENSORSTREAM_*`` environment > profile > file > built-in. The file is
``sensorstream.toml``, searched from the current folder upwards, then in the user's configuration folder.
The built-in defaults are the three sensor topics of the samples, so nothing needs writing first.
"""

from sensorstream.config.built_in import SENSOR_TIME_FORMAT, posts_topic, sample_name, samples_folder, sensor_topics
from sensorstream.config.loading import (
    CLOCKS,
    ENVIRONMENT,
    FILE_NAME,
    find_file,
    load,
    nearest,
    parse_pairs,
    read_java_properties,
    user_config_folder,
)
from sensorstream.config.settings import DEFAULT_GROUP, DEFAULT_PORTS, Secret, Settings, TopicSettings, hidden
from sensorstream.config.template import write_template

__all__ = [
    "CLOCKS",
    "DEFAULT_GROUP",
    "DEFAULT_PORTS",
    "ENVIRONMENT",
    "FILE_NAME",
    "SENSOR_TIME_FORMAT",
    "Secret",
    "Settings",
    "TopicSettings",
    "find_file",
    "hidden",
    "load",
    "nearest",
    "parse_pairs",
    "posts_topic",
    "read_java_properties",
    "sample_name",
    "samples_folder",
    "sensor_topics",
    "user_config_folder",
    "write_template",
]
