"""Station 5: the lines of ``server.properties`` that protect a cluster's listeners. Pure, no files.

A broker has two: one for clients and the other brokers, one for the controllers. Each is protected: what goes between
brokers and controllers as well as what clients send.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sensorstream.cluster.properties import LOOPBACK, Listens, path_value
from sensorstream.cluster.secure.users import ADMIN, BROKER, SCRAM

MODES: Final = ("tls", "scram", "tls+scram")
"""``tls``: certificates on both sides. ``scram``: passwords, nothing encrypted. ``tls+scram``: passwords over TLS."""
CLIENTS: Final[Mapping[str, str]] = {"tls": "SSL", "scram": "SASL_PLAINTEXT", "tls+scram": "SASL_SSL"}
"""The security protocol that clients speak."""
_CONTROLLERS: Final[Mapping[str, str]] = {"tls": "SSL", "scram": "SASL_PLAINTEXT", "tls+scram": "SSL"}
_LOGIN: Final = "org.apache.kafka.common.security"


def secured_listeners(
    mode: str, *, acl: bool, at: Listens, told: str, files: Path, store: str, passwords: Mapping[str, str]
) -> dict[str, str]:
    """Lines for a node that listens ``at`` these ports of the loopback, and advertises ``told``.

    ``files`` is the folder with ``ca.pem`` and the node's own key and certificate, ``store``; ``passwords`` are by
    user's name.
    """
    protocol = CLIENTS[mode]
    listeners = f"{protocol}://{LOOPBACK}:{at.broker}"
    if at.controller is not None:
        listeners += f",CONTROLLER://{LOOPBACK}:{at.controller}"
    lines = {
        "listeners": listeners,
        "advertised.listeners": told,
        "listener.security.protocol.map": f"{protocol}:{protocol},CONTROLLER:{_CONTROLLERS[mode]}",
        "inter.broker.listener.name": protocol,
    }
    if "tls" in mode:
        lines |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": path_value(files / store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": path_value(files / "ca.pem"),
            "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
            # Between brokers and controllers always by certificate; of clients only where they have no password.
            "listener.name.controller.ssl.client.auth": "required",
            f"listener.name.{protocol.lower()}.ssl.client.auth": "required" if mode == "tls" else "none",
            # A certificate's common name is the user, as with a password.
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        }
    if "scram" in mode:
        user = f'username="{BROKER}" password="{passwords[BROKER]}"'
        lines |= {
            "sasl.enabled.mechanisms": ",".join(SCRAM),
            "sasl.mechanism.inter.broker.protocol": SCRAM[-1],
        }
        for mechanism in SCRAM:
            lines[f"listener.name.{protocol.lower()}.{mechanism.lower()}.sasl.jaas.config"] = (
                f"{_LOGIN}.scram.ScramLoginModule required {user};"
            )
    if _CONTROLLERS[mode] == "SASL_PLAINTEXT":
        # The passwords of SCRAM are in the very log that the controllers keep: among themselves they can't use it.
        user = f'username="{BROKER}" password="{passwords[BROKER]}"'
        lines |= {
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": (
                f'{_LOGIN}.plain.PlainLoginModule required {user} user_{BROKER}="{passwords[BROKER]}";'
            ),
        }
    if acl:
        lines |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{BROKER};User:{ADMIN}",
            "allow.everyone.if.no.acl.found": "false",
        }
    return lines
