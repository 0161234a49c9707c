"""HTTPS: certificates are checked, against the system's authorities or those the administrator mounts."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from operator_stand_in import StandIn, serving
from worker_process import Worker, assignment, records
from worker_site import Site, make_site


def certificate(directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "cert.pem", directory / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[tuple[Site, Path]]:
    certificate_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    site = Site()
    async with serving(make_site(site), ssl_context=context) as port:
        site.url = f"https://127.0.0.1:{port}"
        yield site, certificate_file


async def test_an_untrusted_certificate_is_a_tls_failure(
    worker: Worker, tls: tuple[Site, Path], operator: StandIn
) -> None:
    """A page that cannot be authenticated is an error that no retry helps."""
    site, _ = tls
    ended = await worker.run(assignment(operator, f"{site.url}/page/1"))
    (record,) = records(ended)
    assert (record["error"]["code"], record["error"]["retryable"]) == ("TLSFailure", False)
    assert "certificate" in record["error"]["message"]


async def test_a_trusted_certificate_works_and_its_name_counts(
    worker: Worker, tls: tuple[Site, Path], operator: StandIn
) -> None:
    """SSL_CERT_FILE names further authorities; a certificate for another name is still refused."""
    site, authority = tls
    other = site.url.replace("127.0.0.1", "localhost")
    ended = await worker.run(
        assignment(operator, f"{site.url}/page/1", f"{other}/page/1", allowedNetworks=["127.0.0.0/8", "::1/128"]),
        SSL_CERT_FILE=str(authority),
    )
    errors = {record["url"]: record.get("error", {}).get("code") for record in records(ended)}
    assert errors == {f"{site.url}/page/1": None, f"{other}/page/1": "TLSFailure"}


async def test_plain_http_on_a_tls_port_is_an_error_of_the_page(worker: Worker, site: Site, operator: StandIn) -> None:
    """A server that does not speak TLS is told apart from one that cannot be reached."""
    ended = await worker.run(assignment(operator, site.url.replace("http:", "https:") + "/page/1"))
    (record,) = records(ended)
    assert record["error"]["code"] == "TLSFailure"
