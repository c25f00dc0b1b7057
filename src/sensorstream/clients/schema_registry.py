"""Stations 3 and 7: a schema registry with Confluent's API, over HTTP.

Questions wait :data:`TIMEOUT_S` at the most and are put again when nobody answered. What was answered is remembered:
an id stands for one schema for ever.
"""

import base64
import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from sensorstream.config import Secret, Settings
from sensorstream.errors import BrokerError, DataError, SchemasRefused, SchemasUnreachable, UsageError

TIMEOUT_S: Final = 10.0
_TRIES: Final = 3
_PAUSE_S: Final = 0.3
_MOST_BYTES: Final = 16 * 1024 * 1024
_SHOWN: Final = 300
_AWAY: Final = (502, 503, 504)
_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_NO_SUCH: Final = {40401, 40402, 40403}
_JAVA: Final = re.compile(r"^(?:[\w$]+\.)+[\w$]*Exception: ")
_LOOPBACK: Final = ("localhost", "127.", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """Where a registry is and how to get in: ``url``; ``user`` and ``password`` of basic authentication; ``ca``, a
    file of the certificates to trust (PEM), None for those that the machine trusts."""

    url: str
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None


def access(settings: Settings, url: str | None = None) -> Access | None:
    """The registry of the settings, or at ``url``; None: there is none. Raises UsageError for what is no address."""
    url = url or settings.schema_registry
    if url is None:
        return None
    return Access(
        check_url(url), settings.schema_registry_user, settings.schema_registry_password, settings.schema_registry_ca
    )


def check_url(url: str) -> str:
    """The address without a slash at its end. Raises UsageError, which does not show a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if "@" in parts.netloc:
        raise UsageError(
            "--schema-registry has a password in its address, where everybody can see it",
            hint="set SENSORSTREAM_SCHEMA_REGISTRY_USER and SENSORSTREAM_SCHEMA_REGISTRY_PASSWORD instead",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or port == 0:
        raise UsageError(f"--schema-registry {url!r} is not an address", hint="for example http://127.0.0.1:8081")
    return url.rstrip("/")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow nobody elsewhere: the password would go along."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class SchemaRegistry:
    """A registry. Nothing is asked before the first question. Used from one thread."""

    def __init__(self, access: Access) -> None:
        """Raises UsageError for a file of certificates that can't be read."""
        self.url = access.url
        self._headers = {"Accept": f"{_TYPE}, application/json"}
        if access.user is not None:
            password = "" if access.password is None else access.password.reveal()
            pair = base64.b64encode(f"{access.user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if access.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_trust(access.ca)))
        elif access.ca is not None:
            raise UsageError(
                f"schema_registry_ca is for https, and {access.url} is not", hint="write the address with https://"
            )
        if (urlsplit(access.url).hostname or "").startswith(_LOOPBACK):
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)
        self._schemas: dict[int, str] = {}
        self._missing: dict[int, float] = {}

    def register(self, subject: str, schema: str) -> int:
        """The id of a schema under a subject, where it becomes the latest version unless it is one already.

        Raises DataError when the registry refuses it: it is not compatible, or no schema to it.
        """
        answer = self._ask(f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema}, f"schema of {subject}")
        number = None if answer is None else answer.get("id")
        if not isinstance(number, int):
            raise self._nonsense()
        self._schemas[number] = schema
        return number

    def latest(self, subject: str) -> tuple[int, str] | None:
        """The id and the schema of a subject's latest version; None: there is none."""
        answer = self._ask(f"/subjects/{quote(subject, safe='')}/versions/latest")
        if answer is None:
            return None
        number, schema = answer.get("id"), answer.get("schema")
        if not isinstance(number, int) or not isinstance(schema, str):
            raise self._nonsense()
        return number, schema

    def schema(self, number: int) -> str | None:
        """The schema of an id; None: there is none, or it is not Avro's."""
        if number in self._schemas:
            return self._schemas[number]
        # Asked again after a while: another registry may have got it meanwhile.
        if time.monotonic() - self._missing.get(number, -TIMEOUT_S) < TIMEOUT_S:
            return None
        answer = self._ask(f"/schemas/ids/{number}")
        if answer is None or answer.get("schemaType", "AVRO") != "AVRO":
            self._missing[number] = time.monotonic()
            return None
        schema = answer.get("schema")
        if not isinstance(schema, str):
            raise self._nonsense()
        self._schemas[number] = schema
        return schema

    def _ask(self, path: str, body: Mapping[str, str] | None = None, what: str = "") -> dict[str, Any] | None:
        """The answer to a question; None: there is no such thing."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, **({} if data is None else {"Content-Type": _TYPE})}
        request = urllib.request.Request(self.url + path, data=data, headers=headers)  # noqa: S310  # http(s), checked
        for left in reversed(range(_TRIES)):
            try:
                with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                    return self._decoded(answer.read(_MOST_BYTES))
            except urllib.error.HTTPError as error:
                with error:
                    if error.code >= 500 and left:
                        time.sleep(_PAUSE_S)
                        continue
                    self._refused(error, what)
                    return None
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, ssl.SSLError):
                    raise self._untrusted(reason) from error
                if not left:
                    raise self._unreachable(reason) from error
                time.sleep(_PAUSE_S)
        raise AssertionError("the last try ends by itself")

    def _decoded(self, data: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._nonsense()
        return answer

    def _refused(self, error: urllib.error.HTTPError, what: str) -> None:
        """Raises what the answer says, unless it is that there is no such thing."""
        try:
            told = json.loads(error.read(_MOST_BYTES))
        except (ValueError, OSError, HTTPException, RecursionError):
            told = None
        code = told.get("error_code") if isinstance(told, dict) else None
        message = str(told.get("message", "")) if isinstance(told, dict) else ""
        message = _JAVA.sub("", " ".join(message.split()))[:_SHOWN]
        if error.code == 404 and code in _NO_SUCH:
            return
        if error.code in (401, 403):
            raise SchemasRefused(
                f"the schema registry {self.url} refuses the credentials ({error.code})",
                hint="set SENSORSTREAM_SCHEMA_REGISTRY_USER and SENSORSTREAM_SCHEMA_REGISTRY_PASSWORD",
            )
        if error.code == 409:
            raise DataError(
                f"the {what} is not compatible with the one before: {message}",
                hint="give a compatible one with --schema FILE, or loosen the subject's compatibility in the registry",
            )
        if error.code == 422:
            raise DataError(f"the {what} is refused by the registry: {message}", hint="correct it")
        where = message or error.reason
        if error.code in _AWAY:
            raise self._unreachable(f"it answers {error.code}: {where}")
        hint = "is the address whole? the local registry's ends in /apis/ccompat/v7" if error.code == 404 else ""
        raise BrokerError(f"the schema registry {self.url} answers {error.code}: {where}", hint=hint)

    def _nonsense(self) -> BrokerError:
        return BrokerError(
            f"{self.url} answers what no schema registry does", hint="check the address: --schema-registry URL"
        )

    def _unreachable(self, reason: object) -> SchemasUnreachable:
        text = "it does not answer in time" if isinstance(reason, TimeoutError) else _cause(reason)
        return SchemasUnreachable(
            f"the schema registry {self.url} can't be reached: {text}",
            hint="check the address and that it runs; a local one: sensorstream cluster up --schema-registry",
        )

    def _untrusted(self, reason: ssl.SSLError) -> SchemasUnreachable:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return SchemasRefused(
                f"the certificate of the schema registry {self.url} is not trusted: {reason.verify_message}",
                hint="name the file of its CA with schema_registry_ca or SENSORSTREAM_SCHEMA_REGISTRY_CA",
            )
        return SchemasUnreachable(
            f"no TLS with the schema registry {self.url}: {(reason.reason or str(reason)).replace('_', ' ').lower()}",
            hint="is it http:// perhaps?",
        )


def _trust(ca: str | None) -> ssl.SSLContext:
    if ca is None:
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if Path(ca).is_dir() or not Path(ca).exists() else "it holds no certificates in PEM"
        raise UsageError(
            f"schema_registry_ca {ca} can't be used: {reason}", hint="name a file of certificates in PEM"
        ) from error


def _cause(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return " ".join(str(reason).split())[:_SHOWN] or type(reason).__name__
