"""TLS as a gateway speaks it: one CA, its own certificate, host name checked, nothing sent to anybody else."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.upstream.endpoint import tls_context
from tests.broker import Broker
from tests.gateway.upstream.conftest import GW, MakeBroker, Start, make_link, make_platform, until
from tests.gateway.upstream.house import MemoryHouse

pytestmark = pytest.mark.system
DAY = datetime.timedelta(days=1)


@dataclass
class Authority:
    """A certificate authority in a directory."""

    directory: Path
    name: str

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        self.path = str(self.directory / f"{self.name}.pem")
        certificate = self._build(self.subject, self.key, x509.BasicConstraints(ca=True, path_length=None), None)
        Path(self.path).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name: str, *, address: str | None = None, days: int = 30) -> tuple[str, str]:
        """Paths of certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]) if address else None
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._build(subject, key, x509.BasicConstraints(ca=False, path_length=None), names, days)
        stem = self.directory / f"{self.name}-{common_name}{days}"
        stem.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        stem.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(stem.with_suffix(".crt")), str(stem.with_suffix(".key"))

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        names: x509.SubjectAlternativeName | None,
        days: int = 30,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(constraints, critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


@dataclass
class Site:
    broker: Broker
    port: int
    authority: Authority


async def _site(tmp_path: Path, make_broker: MakeBroker, *, address: str = "127.0.0.1", days: int = 30) -> Site:
    """A broker with a TLS listener that wants client certificates, and a plain one for the platform."""
    authority = Authority(tmp_path, "ca")
    certificate, key = authority.issue("broker", address=address, days=days)
    broker = make_broker()
    plain = make_broker().port
    broker._listener = (
        f"listener {plain} 127.0.0.1",
        f"cafile {authority.path}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
    )
    await broker.start()
    return Site(broker, plain, authority)


async def test_a_gateway_with_its_own_certificate_delivers_and_is_pulled_over_tls(
    tmp_path: Path, make_broker: MakeBroker, house: MemoryHouse, start: Start
) -> None:
    site = await _site(tmp_path, make_broker)
    tls = tls_context(site.authority.path, *site.authority.issue(GW))
    for _ in range(1440):
        house.keep_summary()
    platform = await start(make_platform(site.broker.port))
    link = await start(make_link(house, site.port, tls=tls))
    await until(lambda: link.status.state == "up")
    pulled = await platform.pull(GW, "summaries.read", credit=16)
    assert pulled.verified
    assert len(pulled.rows) == 1440


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("other_ca", "certificate verify failed"),
        ("other_host", "certificate verify failed"),
        ("expired", "expired"),
        ("no_certificate", "certificate required"),
    ],
)
async def test_a_certificate_that_is_not_right_ends_before_a_byte_is_published(
    tmp_path: Path, make_broker: MakeBroker, house: MemoryHouse, start: Start, fault: str, said: str
) -> None:
    address = "127.0.0.9" if fault == "other_host" else "127.0.0.1"
    site = await _site(tmp_path, make_broker, address=address, days=-1 if fault == "expired" else 30)
    trusted = Authority(tmp_path, "other").path if fault == "other_ca" else site.authority.path
    own = () if fault == "no_certificate" else site.authority.issue(GW)
    platform = await start(make_platform(site.broker.port))
    link = await start(make_link(house, site.port, tls=tls_context(trusted, *own)))
    await until(lambda: link.status.attempts >= 2)
    assert said in link.status.reasons[0][1]
    assert platform.gateways == {}
