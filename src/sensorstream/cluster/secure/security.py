"""Station 5: how a cluster is secured, and the files for that: certificates, passwords, settings for clients.

    <data>/secure/ca.pem, ca.key           the cluster's own certificate authority
    <data>/secure/broker.pem               key and certificate of the brokers that the cluster began with
    <data>/secure/broker-N.pem             those of one that was added
    <data>/secure/admin.pem, user.pem      those of the two users, with ``tls``
    <data>/secure/passwords.json           by user, with ``scram``
    <data>/secure/granted                  the lesser user has been given its rights

They live with the data, since its log knows the passwords, and go with it. The folder is 0700, each file 0600.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorstream.cluster.properties import Listens, advertised
from sensorstream.cluster.secure import profile
from sensorstream.cluster.secure.certificates import LOOPBACK_NAMES, Authority, require_cryptography
from sensorstream.cluster.secure.listeners import CLIENTS, MODES, secured_listeners
from sensorstream.cluster.secure.private_files import private_folder, write_private
from sensorstream.cluster.secure.users import ADMIN, BROKER, SCRAM, USER, new_passwords, scram_arguments
from sensorstream.cluster.state import SECRETS
from sensorstream.config import nearest
from sensorstream.errors import LocalClusterError, UsageError


@dataclass(frozen=True, slots=True)
class Security:
    """How a cluster is secured: one of ``MODES``; ``acl``: users have only the rights that they were given."""

    mode: str
    acl: bool = False

    def __str__(self) -> str:
        return f"--secure {self.mode}{' --acl' if self.acl else ''}"

    def check(self, mode: str = "kraft") -> None:
        """Raise UsageError for a cluster that can't be secured so, or where the library for certificates is missing."""
        if mode != "kraft":
            raise UsageError(
                "a cluster with ZooKeeper can't be secured here", hint="leave out --mode, or leave out --secure"
            )
        if "tls" in self.mode:
            require_cryptography()

    def create(self, data: Path, name: str) -> list[str]:
        """Make certificates and passwords for the cluster ``name`` in its data folder; what is there is replaced.

        Returns what the formatting tool is to be told besides: the users.

        Raises UsageError where the library for certificates is missing, LocalClusterError when they can't be written.
        """
        self.check()
        forget(data)
        files = private_folder(data / SECRETS)
        if "tls" in self.mode:
            authority = Authority(f"sensorstream {name}")
            write_private(files / "ca.pem", authority.certificate)
            write_private(files / "ca.key", authority.key)
            write_private(files / "broker.pem", authority.issue(BROKER, hosts=LOOPBACK_NAMES).store)
            for user in (ADMIN, USER) if self.mode == "tls" else ():
                write_private(files / f"{user}.pem", authority.issue(user).store)
        if "scram" in self.mode:
            write_private(files / "passwords.json", json.dumps(new_passwords(), indent=1) + "\n")
        return scram_arguments(self._passwords(data))

    def admit(self, data: Path, broker: int) -> None:
        """Make a certificate for a broker that is added. Raises UsageError, LocalClusterError as :meth:`create`."""
        if "tls" not in self.mode:
            return
        require_cryptography()
        files = data / SECRETS
        try:
            authority = Authority.load((files / "ca.pem").read_bytes(), (files / "ca.key").read_bytes())
        except (OSError, ValueError) as error:
            raise LocalClusterError(
                f"the certificate authority in {files} can't be used: {getattr(error, 'strerror', None) or error}",
                hint="put ca.pem and ca.key back; without them no broker can be added",
            ) from error
        write_private(files / _store(broker), authority.issue(BROKER, hosts=LOOPBACK_NAMES).store)

    def dismiss(self, data: Path, broker: int) -> None:
        """Delete the certificate of a broker that was added, where it has one."""
        (data / SECRETS / _store(broker)).unlink(missing_ok=True)

    def lines(
        self, data: Path, broker: int, known: Listens, listens: Listens | None, kafka_version: tuple[int, ...]
    ) -> dict[str, str]:
        """What the ``server.properties`` of a node say of it: one that is ``known`` at these ports, and ``listens`` at
        others where that is not None. Raises LocalClusterError where the files are gone."""
        own = _store(broker)
        return secured_listeners(
            self.mode,
            acl=self.acl,
            at=listens or known,
            told=advertised(CLIENTS[self.mode], known, listens, kafka_version),
            files=data / SECRETS,
            store=own if (data / SECRETS / own).exists() else "broker.pem",
            passwords=self._passwords(data),
        )

    def client_properties(self, data: Path, user: str = ADMIN) -> dict[str, str]:
        """What a client needs to come as this user, under the names of Kafka's Java clients."""
        files = data / SECRETS
        found = {"security.protocol": CLIENTS[self.mode]}
        if "tls" in self.mode:
            found["ssl.truststore.location"] = str(files / "ca.pem")
        if self.mode == "tls":
            found["ssl.keystore.location"] = str(files / f"{user}.pem")
        else:
            found |= {
                "sasl.mechanism": SCRAM[-1],
                "sasl.username": user,
                "sasl.password": self._passwords(data)[user],
            }
        return found

    def publish(self, folder: Path, name: str, data: Path, bootstrap: Sequence[str]) -> None:
        """Write into the cluster's ``folder`` what commands need to come to it: see :mod:`profile`."""
        users = {user: self.client_properties(data, user) for user in (ADMIN, USER)}
        profile.write(folder, name, bootstrap, users)

    def grant(self, data: Path, bootstrap: Sequence[str]) -> None:
        """Give the lesser user its rights, once. Raises LocalClusterError when the brokers refuse."""
        done = data / SECRETS / "granted"
        if not self.acl or done.exists():
            return
        from sensorstream.clients.kafka_python.acls import grant_lesser_user
        from sensorstream.clients.properties import parse_properties

        grant_lesser_user(tuple(bootstrap), parse_properties(self.client_properties(data)), USER)
        write_private(done, "")

    def _passwords(self, data: Path) -> dict[str, str]:
        if "scram" not in self.mode:
            return {}
        path = data / SECRETS / "passwords.json"
        try:
            return {str(user): str(word) for user, word in json.loads(path.read_text(encoding="utf-8")).items()}
        except (OSError, ValueError, AttributeError) as error:
            raise LocalClusterError(
                f"{path} can't be read: the passwords of this cluster are lost",
                hint="to start over: sensorstream cluster down --delete-data",
            ) from error


def security(mode: str | None, *, acl: bool) -> Security | None:
    """What was asked for; None for a cluster without. Raises UsageError for a mode that is none."""
    if mode is None:
        if acl:
            raise UsageError(
                "--acl needs users that log in", hint="add --secure tls, --secure scram or --secure tls+scram"
            )
        return None
    if mode not in MODES:
        raise UsageError(
            f"--secure {mode} is not known", hint=nearest(mode, MODES) or f"it is one of {', '.join(MODES)}"
        )
    return Security(mode, acl)


def _store(broker: int) -> str:
    return f"broker-{broker}.pem"


def forget(data: Path) -> None:
    """Delete certificates and passwords, where there are any."""
    shutil.rmtree(data / SECRETS, ignore_errors=True)
