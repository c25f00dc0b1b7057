"""The file that ``config init`` writes."""

from pathlib import Path
from typing import Final

from sensorstream.config.loading import reason_of
from sensorstream.errors import ConfigError

TEMPLATE: Final = """\
# sensorstream.toml - found from the current folder upwards, then in the user's configuration folder.
# Precedence: flag > -X key=value > SENSORSTREAM_* environment > profile > this file > built-in.
# What is commented out is the built-in default.

# bootstrap = "127.0.0.1:29092,127.0.0.1:39092,127.0.0.1:49092"
# client = "auto"                  # auto (librdkafka where it is installed), kafka-python, librdkafka
# group = "sensor_data_group"
# thread = 3                       # threads that share the sources
# delay = 10                       # seconds between the rows of one source; 0: as fast as it goes
# exactly_once = false             # true: a replay publishes each row exactly once, however often it is interrupted
# compression = "lz4"              # none, gzip, snappy, lz4, zstd
# linger = 5                       # milliseconds a row waits for others; 0 where rows have a moment of their own
# batch_size = 1000000             # bytes sent at once for one partition
# acks = "all"                     # all, 1, 0: who must have a row before it counts as sent
# idempotence = true               # no retry doubles or reorders rows; needs acks = "all"
# schema_registry = "http://127.0.0.1:8081"  # keeps the schemas of Avro values
# schema_registry_user = "me"      # the password: SENSORSTREAM_SCHEMA_REGISTRY_PASSWORD, or schema_registry_password
# schema_registry_ca = "ca.pem"    # the certificates to trust, where the machine doesn't

# Other client properties under their Java names.
# [properties]
# "request.timeout.ms" = 30000

# The topics of the lab. Written out, they replace the built-in AIR, EARTH and WATER.
# [topics.AIR]
# partitions = 2
# replication_factor = 3
# source = "AIR2308.csv"           # from this file's folder
# delimiter = ";"                  # or blanks; and decimal, missing, comment, skip_lines, units_line, type ...
# time_column = "Time"
# time_format = "%d/%m/%Y %H:%M:%S"  # or dmy, mdy, epoch, ...; leave it out for ISO 8601
# time_zone = "Europe/Berlin"      # of times without an offset; leave it out for UTC
# clock = "common"                 # with --speed: one clock for all sources; "own": one for this one
# key = "Station"                  # leave it out for records without a key
# follow = true                    # publish what is appended to the file, too
# timeout = 60                     # and end when no row has come for so many seconds
# configs = { "retention.ms" = "604800000" }
# value_format = "avro"            # avro, or json
# schema = "AIR.avsc"              # the schema of the values; in Avro it is found from the file where there is none
# schema_registry = "http://127.0.0.1:8081"  # where it is not the one above
# [topics.AIR.capture]             # how consume and run store the topic
# format = "parquet"               # csv, jsonl, sqlite, parquet
# folders = "date"                 # partition, date, or both; none by default
# rotate_time = "10m"              # a file is finished after this, after rotate_rows rows or at rotate_size
# with = "key,timestamp"           # columns of the record itself; offset, partition, headers too
# flatten = true                   # nested objects as columns; also: tombstones, key_format

# Other clusters, chosen with --profile NAME or SENSORSTREAM_PROFILE.
# [profiles.staging]
# bootstrap = "broker.example.org:9093"
# [profiles.staging.properties]
# "security.protocol" = "SASL_SSL"
# "sasl.mechanism" = "SCRAM-SHA-512"
# "sasl.username" = "me"
# "sasl.password" = "..."
"""


def write_template(path: Path, *, force: bool = False, topics: str = "") -> None:
    """Write a commented configuration file, with the tables of ``topics`` in it.

    Raises ConfigError when ``path`` is there and ``force`` is not given.
    """
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(f"{TEMPLATE}\n{topics}" if topics else TEMPLATE)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already", hint="use --force to overwrite it") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {reason_of(error)}") from error
