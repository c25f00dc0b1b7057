"""Configuration values stored elsewhere: ``${env:NAME}``, ``${file:PATH}``, ``${keyring:SERVICE/USER}``.

The form is that of Kafka's own configuration providers (KIP-297), so that one properties file serves both. The value is
the whole text or nothing of it: what merely holds such a form somewhere is a value as any other.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from sensorstream.errors import ConfigError

_FORM: Final = re.compile(r"\$\{(?P<source>[a-z]+):(?P<where>.+)\}")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def looked_up(value: str, key: str, origin: str) -> str:
    """``value`` itself, or what stands where it points to. ``key`` and ``origin`` are for the messages.

    Raises ConfigError where nothing is there, where others than the owner may read the file, for an unknown source.
    The messages never hold what was found.
    """
    found = _FORM.fullmatch(value)
    if found is None:
        return value
    source, where = found["source"], found["where"]
    reader = {"env": _from_environment, "file": _from_file, "keyring": _from_keyring}.get(source)
    about = f"{origin}: {key}"
    if reader is None:
        raise ConfigError(f"{about}: there is no source {source!r}", hint="use ${env:..}, ${file:..} or ${keyring:..}")
    return reader(where, about)


def _from_environment(name: str, about: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigError(f"{about}: the environment has no {name}", hint=f"set {name}, or take another source")
    return value


def _from_file(name: str, about: str) -> str:
    path = Path(name).expanduser()
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{about}: {path} is no file", hint="give a file with the value in its first line")
        if mode & _OTHERS:
            raise ConfigError(
                f"{about}: other users may access {path} (mode {stat.S_IMODE(mode):04o})", hint=f"chmod 600 {path}"
            )
        value = path.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        raise ConfigError(f"{about}: {path} can't be read: {reason}") from None
    if not value:
        raise ConfigError(f"{about}: {path} has no first line", hint="give a file with the value in its first line")
    return value


def _from_keyring(where: str, about: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise ConfigError(f"{about}: there is no keyring here", hint="pip install 'sensorstream[secure]'") from None
    service, slash, user = where.rpartition("/")
    if not (service and slash and user):
        raise ConfigError(f"{about}: expected ${{keyring:SERVICE/USER}}")
    try:
        value = keyring.get_password(service, user)
    except KeyringError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"{about}: the keyring can't be asked: {reason}") from None
    if not value:
        raise ConfigError(
            f"{about}: the keyring has nothing for {user} of {service}", hint=f"keyring set {service} {user}"
        )
    return value
