"""Secrets that stand in the environment, in a file or in a keyring; and what is said where they are not."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from sensorstream.config import Secret, load
from sensorstream.errors import ConfigError
from sensorstream.secret_sources import looked_up


def secret_file(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(text)
    path.chmod(mode)
    return path


class Ring(KeyringBackend):
    """A keyring that has one password, and can be locked."""

    priority = 1
    locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked("it is locked")
        return "from the ring" if (service, username) == ("kafka/lab", "me") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("it is only read")


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, made = keyring.get_keyring(), Ring()  # type: ignore[no-untyped-call]
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_a_value_is_looked_up_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ring: Ring) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "from the environment")
    path = secret_file(tmp_path, b"from the file, \xc3\xa4\r\nnothing of this\n")
    assert looked_up("${env:KAFKA_PASSWORD}", "k", "o") == "from the environment"
    assert looked_up(f"${{file:{path}}}", "k", "o") == "from the file, ä"
    assert looked_up("${keyring:kafka/lab/me}", "k", "o") == "from the ring"


@pytest.mark.parametrize("value", ["plain", "$ENV", "${}", "${env:}", "a${env:HOME}", "${env:HOME}b", "${ENV:HOME}"])
def test_what_is_no_reference_as_a_whole_is_a_value(value: str) -> None:
    assert looked_up(value, "sasl.password", "here") == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("${env:NOT_THERE_AT_ALL}", "the environment has no NOT_THERE_AT_ALL"),
        ("${env:EMPTY_ONE}", "the environment has no EMPTY_ONE"),
        ("${vault:a/b}", "there is no source 'vault'"),
        ("${file:/not/there}", "/not/there can't be read: No such file"),
        ("${file:/}", "/ is no file"),
        ("${keyring:service}", "expected ${keyring:SERVICE/USER}"),
        ("${keyring:kafka/you}", "the keyring has nothing for you of kafka"),
    ],
)
def test_what_is_not_there_is_named(value: str, told: str, monkeypatch: pytest.MonkeyPatch, ring: Ring) -> None:
    monkeypatch.setenv("EMPTY_ONE", "")
    with pytest.raises(ConfigError) as caught:
        looked_up(value, "sasl.password", "sensorstream.toml")
    assert caught.value.message.startswith("sensorstream.toml: sasl.password: ")
    assert told in caught.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, b"hidden value\n", mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as caught:
        looked_up(f"${{file:{path}}}", "sasl.password", "-X")
    assert "hidden value" not in caught.value.message
    assert caught.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("text", [b"", b"\nsecond\n", b"\xff\xfe\n"])
def test_a_file_without_a_first_line_of_text_is_refused(tmp_path: Path, text: bytes) -> None:
    path = secret_file(tmp_path, text)
    with pytest.raises(ConfigError, match=str(path)):
        looked_up(f"${{file:{path}}}", "sasl.password", "-X")


def test_a_locked_keyring_is_told(ring: Ring) -> None:
    ring.locked = True
    with pytest.raises(ConfigError, match="can't be asked: it is locked"):
        looked_up("${keyring:kafka/lab/me}", "sasl.password", "-X")


def test_in_every_place_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hidden value")
    monkeypatch.setenv("KAFKA_USER", "me")
    config = tmp_path / "sensorstream.toml"
    config.write_text(
        'schema_registry_password = "${env:KAFKA_PASSWORD}"\n'
        '[properties]\n"sasl.password" = "${env:KAFKA_PASSWORD}"\n"sasl.username" = "${env:KAFKA_USER}"\n'
        '[profiles.other.properties]\n"sasl.password" = "${env:NOT_THERE_AT_ALL}"\n'
    )
    settings = load(start=tmp_path)
    assert settings.schema_registry_password == Secret("hidden value")
    assert settings.properties == {"sasl.password": Secret("hidden value"), "sasl.username": "me"}
    assert "hidden value" not in repr(settings)
    given = load(start=tmp_path, properties=["ssl.key.password=${env:KAFKA_PASSWORD}"])
    assert given.properties["ssl.key.password"] == Secret("hidden value")
    with pytest.raises(ConfigError, match="NOT_THERE_AT_ALL"):
        load(start=tmp_path, profile="other")
