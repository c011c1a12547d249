"""TLS whole: real engines on real sockets, REST and gRPC by one SSLConfig, keys nowhere to be seen."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from jupyter_tfserve.codec.protos import GetModelStatusRequest, ModelServiceStub

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@dataclass(frozen=True)
class Identity:
    key: Path
    certificate: Path


@pytest.fixture(scope="module")
def identities(tmp_path_factory) -> dict[str, Identity]:
    """Keys and self-signed certificates for this machine: each is its own authority."""
    folder = tmp_path_factory.mktemp("certificates")
    made = {}
    for name in ("server", "client", "stranger"):
        made[name] = Identity(folder / f"{name}.key", folder / f"{name}.crt")
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            f"-subj /CN={name} -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
            f"-keyout {made[name].key} -out {made[name].certificate}"
        )
        subprocess.run(command.split(), check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def half(make_saved_models, tmp_path_factory) -> Path:
    """A base path of our own: other tests may add versions to the shared one."""
    base = tmp_path_factory.mktemp("models") / "half"
    shutil.copytree(make_saved_models("half_plus_two=1") / "half_plus_two" / "1", base / "1")
    return base


def ssl_config(folder: Path, **values: Path | bool) -> str:
    lines = []
    for name, value in values.items():
        if isinstance(value, bool):
            lines.append(f"{name}: {str(value).lower()}")
        else:
            lines.append(f'{name}: "{value.read_text()}"'.replace("\n", "\\n"))
    file = folder / "ssl.config"
    file.write_text("\n".join(lines))
    return f"--ssl_config_file={file}"


def predict(engine: Any, roots: Path, client: Identity | None = None) -> Any:
    context = ssl.create_default_context(cafile=str(roots))
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    with httpx.Client(verify=context, trust_env=False, timeout=30) as https:
        answer = https.post(
            f"{engine.connection.rest_url}/v1/models/half:predict", json={"instances": [1.0, 2.0]}
        )
    return answer.json()


def ask_grpc(engine: Any, roots: Path, client: Identity | None = None) -> int:
    pair = (client.key.read_bytes(), client.certificate.read_bytes()) if client is not None else (None, None)
    credentials = grpc.ssl_channel_credentials(roots.read_bytes(), *pair)
    request = GetModelStatusRequest()
    request.model_spec.name = "half"
    with grpc.secure_channel(engine.connection.grpc_address, credentials) as channel:
        return len(ModelServiceStub(channel).GetModelStatus(request, timeout=10).model_version_status)


def start(start_engine: Any, half: Path, flag: str) -> Any:
    engine = start_engine(f"--model_base_path={half}", "--model_name=half", flag)
    engine.wait_version("half", 1)
    return engine


def test_other_machines_need_tls_and_a_key(start_engine, identities, tmp_path) -> None:
    """S1: the one way off this machine that needs no words; our own way in is the control port."""
    server = identities["server"]
    flag = ssl_config(tmp_path, server_key=server.key, server_cert=server.certificate)
    engine = start_engine("--host=0.0.0.0", flag)
    assert engine.connection.rest_url.startswith("https://127.0.0.1:")
    assert "error" in predict(engine, server.certificate)
    with pytest.raises(grpc.RpcError) as caught:
        ask_grpc(engine, server.certificate)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    context = ssl.create_default_context(cafile=str(server.certificate))
    key = engine.call("POST", "/control/keys", models=["*"])["key"]
    with httpx.Client(
        base_url=engine.connection.rest_url, verify=context, trust_env=False, timeout=30
    ) as https:
        assert https.get("/v1/models").status_code == 401
        assert https.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).json() == {"models": []}


def test_both_ports_speak_tls_when_configured(start_engine, half, identities, tmp_path) -> None:
    server = identities["server"]
    flag = ssl_config(tmp_path, server_key=server.key, server_cert=server.certificate)
    engine = start(start_engine, half, flag)
    assert engine.connection.rest_url.startswith("https://")
    assert predict(engine, server.certificate) == {"predictions": [2.5, 3.0]}
    assert ask_grpc(engine, server.certificate) == 1
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        predict(engine, identities["stranger"].certificate)
    with pytest.raises(httpx.HTTPError):
        httpx.get(engine.connection.rest_url.replace("https", "http"), trust_env=False)
    for line in server.key.read_text().splitlines()[1:-1]:
        assert line not in engine.log.read_text()


def test_client_needs_a_certificate_of_the_authority_when_clients_are_verified(
    start_engine, half, identities, tmp_path
) -> None:
    server, client = identities["server"], identities["client"]
    flag = ssl_config(
        tmp_path,
        server_key=server.key,
        server_cert=server.certificate,
        custom_ca=client.certificate,
        client_verify=True,
    )
    engine = start(start_engine, half, flag)
    assert predict(engine, server.certificate, client) == {"predictions": [2.5, 3.0]}
    assert ask_grpc(engine, server.certificate, client) == 1
    for other in (None, identities["stranger"]):
        with pytest.raises((httpx.HTTPError, ssl.SSLError)):
            predict(engine, server.certificate, other)
        with pytest.raises(grpc.RpcError):
            ask_grpc(engine, server.certificate, other)


def refused_start(half: Path, flag: str) -> str:
    flags = [f"--model_base_path={half}", "--port=-1", "--rest_api_port=-1", flag]
    command = [sys.executable, "-m", "jupyter_tfserve", "serve", *flags]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 255
    return done.stdout + done.stderr


def test_start_fails_without_showing_the_key_when_it_is_another_certificates(
    half, identities, tmp_path
) -> None:
    stranger, server = identities["stranger"], identities["server"]
    flag = ssl_config(tmp_path, server_key=stranger.key, server_cert=server.certificate)
    output = refused_start(half, flag)
    assert (
        "INVALID_ARGUMENT: The key and certificates of ssl_config_file can't be used: KEY_VALUES_MISMATCH"
        in output
    )
    assert "PRIVATE" not in output
    assert stranger.key.read_text().splitlines()[1] not in output


def test_start_fails_and_asks_nobody_when_the_key_has_a_password(half, identities, tmp_path) -> None:
    server = identities["server"]
    locked = tmp_path / "locked.key"
    command = f"openssl ec -in {server.key} -out {locked} -aes128 -passout pass:secret"
    subprocess.run(command.split(), check=True, capture_output=True)
    output = refused_start(half, ssl_config(tmp_path, server_key=locked, server_cert=server.certificate))
    assert "can't be used" in output
    assert "has no password" in output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('server_key: "-----BEGIN X-----\\nsecret"\nnonsense', "Invalid protobuf file: '{file}' at line 2"),
        (
            'server_key: "-----BEGIN PRIVATE KEY-----\\nsecret\\n" server_cert: "-----BEGIN CERTIFICATE-----\\nx\\n"',
            "The key and certificates of ssl_config_file can't be used: ",
        ),
    ],
)
def test_start_fails_without_quoting_the_config_when_it_is_none(half, tmp_path, text, message) -> None:
    file = tmp_path / "ssl.config"
    file.write_text(text)
    output = refused_start(half, f"--ssl_config_file={file}")
    assert message.format(file=file) in output
    assert "secret" not in output


def test_start_fails_when_alts_is_asked_for(half, identities, tmp_path) -> None:
    server = identities["server"]
    flag = ssl_config(tmp_path, server_key=server.key, server_cert=server.certificate)
    command = [
        sys.executable,
        "-m",
        "jupyter_tfserve",
        "serve",
        f"--model_base_path={half}",
        "--use_alts_credentials",
    ]
    both = subprocess.run([*command, flag], capture_output=True, text=True, check=False, timeout=60)
    assert both.returncode == 255
    assert "Either use_alts_credentials must be false or ssl_config_file must be empty." in both.stdout
    alone = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (alone.returncode, "ALTS exists on Google's cloud only" in alone.stdout) == (255, True)
