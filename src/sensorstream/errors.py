"""All expected errors, and the exit code of each.

    SensorstreamError                    1  failed
    ├── UsageError                       2  an option or argument is wrong
    │   ├── ConfigError                  2  a configuration file, profile or environment variable is wrong
    │   ├── UnknownTopic                 2  the cluster has no such topic
    │   └── UnknownPartition             2  the topic has no such partition
    ├── ClusterUnreachable               3  nobody answers at the bootstrap addresses
    │   └── CredentialsRefused           3  somebody answers and turns us away
    │       └── NotAllowed               3  this user has no right to do it
    │           └── WriteNotAllowed      3  a record was not delivered for that reason; a DeliveryError, too
    ├── EngineUnreachable                3  no container engine is here, or it does not answer
    ├── SchemasUnreachable               3  nobody answers who knows the schemas of values
    │   └── SchemasRefused               3  a schema registry answers and turns us away
    ├── DataError                        4  the data is wrong
    │   ├── SourceError                  4  a source file is missing or can't be read
    │   └── DecodeError                  4  bytes that are not what the format says
    ├── BrokerError                      1  the cluster answered with an error
    ├── DeliveryError                    1  a record was not delivered
    │   ├── DeliveryTimeout              1  it is not known whether the record was delivered
    │   ├── RecordTooLarge               1  a record is over the size limit
    │   └── Fenced                       1  another publisher with the same transactional id has taken over
    ├── OffsetOutOfRange                 1  retention has eaten the rows that were to be read next
    ├── SinkError                        1  captured rows can't be stored
    │   └── PositionMismatch             1  the file's stored position belongs to another topic or cluster
    ├── LocalClusterError                1  the cluster in the box can't do what was asked
    │   ├── ArtifactError                1  a jar or the Java runtime is missing, damaged or of the wrong version
    │   └── PortTaken                    1  somebody else listens on a broker's port
    ├── ThresholdCrossed                 5  a ``--fail-if`` condition holds
    └── Interrupted                    130  stopped by the user before the work was complete

Every error is one line: what happened, then (after ``hint``) what to do next. Exceptions of the Kafka
clients are translated in ``clients/`` and ``admin/`` and reach nobody else.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process tells a script when it ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    WRONG_DATA = 4
    THRESHOLD = 5
    INTERRUPTED = 130


class SensorstreamError(Exception):
    """The root of all expected failures.

    ``message`` says what happened, in one line; ``hint`` says what to do next, or is empty.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(SensorstreamError):
    """An option or argument is wrong; nothing has been started."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A configuration file, a profile or an environment variable is wrong."""


class UnknownTopic(UsageError):
    """The cluster has no topic of this name."""


class UnknownPartition(UsageError):
    """The topic has no partition of this number."""


class ClusterUnreachable(SensorstreamError):
    """No broker answered in time; the message names the cause where it is known."""

    exit_code = ExitCode.UNREACHABLE


class CredentialsRefused(ClusterUnreachable):
    """A broker answered and refused the credentials or the certificate."""


class EngineUnreachable(SensorstreamError):
    """No container engine is on this machine, or it does not answer."""

    exit_code = ExitCode.UNREACHABLE


class NotAllowed(CredentialsRefused):
    """A broker knows who we are, and this user has no right to what was asked for."""


class SchemasUnreachable(SensorstreamError):
    """Nobody who knows the schemas of values, a registry or the cluster, answered in time.

    It is not a ClusterUnreachable: a loop that reads must not take it for brokers that are away, and go on behind the
    records that it has.
    """

    exit_code = ExitCode.UNREACHABLE


class SchemasRefused(SchemasUnreachable):
    """A schema registry answered and refused the credentials, or has a certificate that is not trusted."""


class DataError(SensorstreamError):
    """The data is wrong."""

    exit_code = ExitCode.WRONG_DATA


class SourceError(DataError):
    """A source file is missing, can't be read, or is not what it should be."""


class DecodeError(DataError):
    """Bytes that are not what the format says; the message is the reason, in one line."""


class BrokerError(SensorstreamError):
    """The cluster answered with an error that is nobody's typing mistake."""


class DeliveryError(SensorstreamError):
    """A record was certainly not delivered."""


class WriteNotAllowed(NotAllowed, DeliveryError):
    """A record was certainly not delivered, as this user has no right to write it."""


class DeliveryTimeout(DeliveryError):
    """No answer came in time: it is not known whether the record was delivered."""


class RecordTooLarge(DeliveryError):
    """A record is larger than the producer or the topic allows; it was not sent."""


class Fenced(DeliveryError):
    """Another publisher with the same transactional id has taken over; what this one had not committed is aborted."""


class OffsetOutOfRange(SensorstreamError):
    """The next offset to read is no longer (or not yet) in the log."""


class SinkError(SensorstreamError):
    """Captured rows can't be stored; what was stored up to the last position is whole."""


class PositionMismatch(SinkError):
    """A file's stored position belongs to another cluster, topic or partition, or to another file."""


class LocalClusterError(SensorstreamError):
    """The local cluster can't do what was asked; nothing was left running that was not running before."""


class ArtifactError(LocalClusterError):
    """A jar or the Java runtime is missing, damaged or of the wrong version."""


class PortTaken(LocalClusterError):
    """Another process listens on a port that a broker needs."""


class ThresholdCrossed(SensorstreamError):
    """A ``--fail-if`` condition holds."""

    exit_code = ExitCode.THRESHOLD


class Interrupted(SensorstreamError):
    """The user stopped the work before it was complete."""

    exit_code = ExitCode.INTERRUPTED
