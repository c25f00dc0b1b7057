"""The Kafka clients' own logs: kept off the console, in a file."""

import logging
import os
import sys


def start(*, verbose: bool) -> None:
    """Keep the Kafka clients' own logs off the console: into the log file, and to stderr only with ``-v``."""
    loggers = [logging.getLogger(name) for name in ("kafka", "confluent_kafka")]
    files = [handler for logger in loggers for handler in logger.handlers if isinstance(handler, _LogFile)]
    file = files[0] if files else _LogFile()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(file)  # once, however often it is asked to
        if verbose and not any(type(handler) is logging.StreamHandler for handler in logger.handlers):
            handler = logging.StreamHandler(sys.stderr)
            handler.setLevel(logging.WARNING)
            handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
            logger.addHandler(handler)


class _LogFile(logging.Handler):
    """A log file that is only made when there is something to write into it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
        self._target: logging.Handler | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._target is None:
            self._target = self._open()
        self._target.handle(record)

    def _open(self) -> logging.Handler:
        from logging.handlers import RotatingFileHandler
        from pathlib import Path

        import platformdirs

        folder = os.environ.get("SENSORSTREAM_STATE_DIR") or platformdirs.user_log_dir("sensorstream", appauthor=False)
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
            target = RotatingFileHandler(
                Path(folder) / "client.log", maxBytes=5_000_000, backupCount=1, encoding="utf-8"
            )
        except OSError:
            # A read-only home must not stop the work; the log is a convenience.
            return logging.NullHandler()
        target.setFormatter(self.formatter)
        return target
