"""Station 5: a cluster's own certificate authority, and the certificates of its brokers and users.

Everything is PEM, which Java, OpenSSL and both clients read. Keys are elliptic (P-256): made in a millisecond. The
library ``cryptography`` (extra ``[secure]``) does the work.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sensorstream.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

DAYS: Final = 3650
"""How long certificates are valid: a lab that is opened again after years must still work."""
_BACKDATED: Final = datetime.timedelta(hours=1)
"""A clock that is a little behind must not take a new certificate for one of the future."""
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")


def require_cryptography() -> None:
    """Raise UsageError where the library that makes certificates is missing."""
    try:
        import cryptography.x509  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "certificates need the Python package cryptography", hint="pip install 'sensorstream[secure]'"
        ) from error


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both as PEM; the key is PKCS#8 without a password."""

    certificate: bytes
    key: bytes

    @property
    def store(self) -> bytes:
        """Both in one text: what Kafka calls a key store of type PEM."""
        return self.key + self.certificate

    def __repr__(self) -> str:
        return "Issued(********)"


class Authority:
    """An authority that signs certificates; ``name`` is its common name."""

    def __init__(self, name: str) -> None:
        from cryptography import x509

        self._key = _new_key()
        self._name = _named(name)
        now = datetime.datetime.now(datetime.UTC)
        usage = _usage(key_cert_sign=True, crl_sign=True)
        built = (
            _builder(self._name, self._name, self._key, now - _BACKDATED, now + datetime.timedelta(days=DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        self._issued = _signed(built, self._key, self._key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "Authority":
        """The authority whose certificate and key (PEM) these are. Raises ValueError where they are not."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        loaded = cls.__new__(cls)
        signer = load_pem_private_key(key, password=None)
        if not isinstance(signer, EllipticCurvePrivateKey):
            raise ValueError("the key is of another kind")  # noqa: TRY004 - as for a key that is none
        loaded._key = signer
        loaded._name = x509.load_pem_x509_certificate(certificate).subject
        loaded._issued = Issued(certificate, key)
        return loaded

    @property
    def key(self) -> bytes:
        """The authority's key, PEM: who has it can make certificates that this cluster takes."""
        return self._issued.key

    @property
    def certificate(self) -> bytes:
        """The authority's own certificate, PEM: what everyone is to trust."""
        return self._issued.certificate

    def issue(
        self,
        name: str,
        *,
        hosts: Sequence[str] = (),
        begins: datetime.datetime | None = None,
        ends: datetime.datetime | None = None,
    ) -> Issued:
        """A certificate for ``name`` (its common name); with ``hosts`` (names, IP addresses) it serves there as well.

        ``begins`` and ``ends`` (with a time zone) are when it is valid: an hour ago and :data:`DAYS` from now.
        """
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        now = datetime.datetime.now(datetime.UTC)
        key = _new_key()
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if hosts:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
        built = (
            _builder(
                _named(name), self._name, key, begins or now - _BACKDATED, ends or now + datetime.timedelta(days=DAYS)
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            built = built.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        return _signed(built, key, self._key)


def _new_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _named(name: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _host(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: "x509.Name",
    issuer: "x509.Name",
    key: "EllipticCurvePrivateKey",
    begins: datetime.datetime,
    ends: datetime.datetime,
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(
    built: "x509.CertificateBuilder", key: "EllipticCurvePrivateKey", signer: "EllipticCurvePrivateKey"
) -> Issued:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    certificate = built.sign(signer, hashes.SHA256())
    return Issued(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
