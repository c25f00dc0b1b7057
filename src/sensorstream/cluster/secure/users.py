"""Station 5: the users of a secured cluster: the brokers, a super user, and an ordinary user.

Passwords are made by the program, 192 random bits each. Kafka's formatting tool gets them by a file of its own
arguments, so that no list of processes shows them.
"""

import secrets
from collections.abc import Mapping
from typing import Final

BROKER: Final = "broker"
"""The brokers among themselves; nobody else's."""
ADMIN: Final = "admin"
"""May do everything."""
USER: Final = "user"
"""With ``--acl``: may publish and read, and not create, change or delete topics."""
USERS: Final = (BROKER, ADMIN, USER)
SCRAM: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")


def new_passwords() -> dict[str, str]:
    """A fresh password for each user; letters, digits, ``-`` and ``_``, so that it needs no quoting anywhere."""
    return {name: secrets.token_urlsafe(24) for name in USERS}


def scram_arguments(passwords: Mapping[str, str]) -> list[str]:
    """What ``StorageTool format`` is told of the users, for both mechanisms: words of its command line."""
    return [
        word
        for name, password in passwords.items()
        for mechanism in SCRAM
        for word in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    ]
