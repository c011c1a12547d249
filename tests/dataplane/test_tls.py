"""tls: SSLConfig text, and the gRPC port over real TLS sockets, with and without client certificates."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from jupyter_tfserve.codec import protos
from jupyter_tfserve.dataplane.grpc_server import GrpcOptions, GrpcServer
from jupyter_tfserve.dataplane.http2.frames import PREFACE, settings_frame
from jupyter_tfserve.dataplane.tls import parse_ssl_config
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions, ListenOptions, TlsOptions

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

PEM = "-----BEGIN THING-----\nc2VjcmV0\n-----END THING-----\n"


@dataclass(frozen=True)
class Identity:
    key: bytes
    certificate: bytes


@pytest.fixture(scope="session")
def make_identity(tmp_path_factory):
    """A fresh key and its self-signed certificate for this machine: each is its own authority."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str) -> Identity:
        key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            f"-subj /CN={name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
        ).split()
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return Identity(key.read_bytes(), certificate.read_bytes())

    return make


@pytest.fixture(scope="session")
def server_identity(make_identity) -> Identity:
    return make_identity("server")


@pytest.fixture(scope="session")
def client_identity(make_identity) -> Identity:
    return make_identity("client")


@pytest.fixture(scope="session")
def stranger(make_identity) -> Identity:
    return make_identity("stranger")


def ssl_config(**values: bytes | bool) -> str:
    """The text proto as a user writes it: PEM with escaped line ends."""
    lines = []
    for name, value in values.items():
        text = value.decode().replace("\n", "\\n") if isinstance(value, bytes) else ""
        lines.append(f"{name}: {str(value).lower()}" if isinstance(value, bool) else f'{name}: "{text}"')
    return "\n".join(lines)


class Statuses:
    """A model that is known and has no versions."""

    def status(self, _spec):
        return []


@contextlib.asynccontextmanager
async def serving(tls: TlsOptions, socket_path: str = ""):
    listen = ListenOptions(grpc_port=0 if socket_path else -1, grpc_socket_path=socket_path)
    server = GrpcServer(Statuses(), listen, LimitOptions(), GrpcOptions(tls=tls))
    port = await server.start()
    try:
        yield f"unix:{socket_path}" if socket_path else f"localhost:{port}"
    finally:
        await server.stop(0)


async def ask(target: str, roots: bytes, client: Identity | None = None) -> None:
    """One call over TLS."""
    credentials = grpc.ssl_channel_credentials(
        roots,
        client.key if client is not None else None,
        client.certificate if client is not None else None,
    )
    # A Unix socket's target has no host name that a certificate could be for.
    options = [("grpc.ssl_target_name_override", "localhost")]
    async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
        message = protos.GetModelStatusRequest()
        message.model_spec.name = "m"
        await protos.ModelServiceStub(channel).GetModelStatus(message, timeout=20)


async def is_refused(call) -> bool:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


@needs_openssl
async def test_call_is_answered_over_tls_when_the_client_trusts_the_server(server_identity, stranger):
    text = ssl_config(server_key=server_identity.key, server_cert=server_identity.certificate)
    async with serving(parse_ssl_config(text, "ssl.config")) as target:
        await ask(target, server_identity.certificate)
        assert await is_refused(ask(target, stranger.certificate))
        async with grpc.aio.insecure_channel(target) as channel:
            call = protos.ModelServiceStub(channel).GetModelStatus(protos.GetModelStatusRequest(), timeout=20)
            assert await is_refused(call)


@needs_openssl
@pytest.mark.parametrize(
    ("protocols", "answer"), [(["h2"], b"\0\0"), (["http/1.1"], b""), ([], b"")], ids=["h2", "http1", "none"]
)
async def test_connection_is_closed_when_its_client_did_not_ask_for_http2(server_identity, protocols, answer):
    context = ssl.create_default_context(cadata=server_identity.certificate.decode())
    if protocols:
        context.set_alpn_protocols(protocols)
    async with serving(TlsOptions(server_identity.key, server_identity.certificate)) as target:
        port = int(target.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        writer.write(PREFACE + settings_frame({}))
        assert await asyncio.wait_for(reader.read(2), 20) == answer
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@needs_openssl
async def test_client_needs_a_certificate_of_the_authority_when_clients_are_verified(
    server_identity, client_identity, stranger
):
    text = ssl_config(
        server_key=server_identity.key,
        server_cert=server_identity.certificate,
        custom_ca=client_identity.certificate,
        client_verify=True,
    )
    async with serving(parse_ssl_config(text, "ssl.config")) as target:
        await ask(target, server_identity.certificate, client_identity)
        assert await is_refused(ask(target, server_identity.certificate))
        assert await is_refused(ask(target, server_identity.certificate, stranger))


@needs_openssl
async def test_unix_socket_speaks_tls_too_when_configured(server_identity, tmp_path: Path):
    tls = TlsOptions(server_identity.key, server_identity.certificate)
    async with serving(tls, str(tmp_path / "grpc.sock")) as target:
        await ask(target, server_identity.certificate)


@needs_openssl
async def test_start_fails_with_a_hint_when_the_key_is_another_certificates(server_identity, stranger):
    tls = TlsOptions(stranger.key, server_identity.certificate)
    server = GrpcServer(Statuses(), ListenOptions(grpc_port=-1), LimitOptions(), GrpcOptions(tls=tls))
    with pytest.raises(ServingError) as caught:
        await server.start()
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.message == "gRPC cannot listen on 127.0.0.1:0"
    assert caught.value.hint == "Check that the key of ssl_config_file fits its certificate"


def test_config_holds_the_contents_when_it_is_whole():
    pem = PEM.encode()
    text = ssl_config(server_key=pem, server_cert=pem, custom_ca=pem, client_verify=True)
    assert parse_ssl_config(text, "f") == TlsOptions(pem, pem, pem, True)
    assert parse_ssl_config(ssl_config(server_key=pem, server_cert=pem), "f") == TlsOptions(pem, pem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server_key: 'a'\nnonsense", "Invalid protobuf file: 'f' at line "),
        ("no_such_field: 1", "Invalid protobuf file: 'f' at line 1"),
        ("", "'f' has no server_key"),
        (ssl_config(server_key=PEM.encode()), "'f' has no server_cert"),
        (
            'server_key: "/etc/key.pem" server_cert: "/etc/cert.pem"',
            "'f': server_key must hold PEM text itself, not the path of a file",
        ),
        (
            ssl_config(server_key=PEM.encode(), server_cert=PEM.encode(), client_verify=True),
            "'f': client_verify needs custom_ca, the authority of the clients",
        ),
    ],
)
def test_config_is_refused_without_quoting_it_when_wrong(text, message):
    with pytest.raises(ServingError) as caught:
        parse_ssl_config(text, "f")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith(message)
    assert "/etc" not in caught.value.message


def test_key_is_not_shown_when_options_are_printed():
    assert "secret" not in repr(TlsOptions(b"secret", b"public"))
