"""What testssl.sh says of the REST port's TLS."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.contract.engines import running_engine

SERIOUS = {"HIGH", "CRITICAL", "FATAL"}
CERTIFICATES_OWN = (
    "cert_trust",
    "cert_chain_of_trust",
    "cert_revocation",
    "cert_caIssuers",
    "cert_expiration",
)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_tls_has_no_serious_weakness(tool, tmp_path, half_plus_two, record_case) -> None:
    testssl, openssl = tool("testssl"), tool("openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "365",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*make, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    config = tmp_path / "ssl.config"
    texts = {"server_key": key.read_text(), "server_cert": cert.read_text()}
    config.write_text("".join(f"{name}: {json.dumps(text)}\n" for name, text in texts.items()))
    report = tmp_path / "report.json"
    flags = (f"--model_base_path={half_plus_two.parent}", f"--ssl_config_file={config}")
    with running_engine(tmp_path, *flags) as engine:
        where = engine.connection.rest_url.partition("://")[2]
        command = [testssl, "--quiet", "--color", "0", "--ip", "one", "--protocols", "--server-defaults"]
        command += ["--vulnerable", "--fs", "--jsonfile", str(report), where]
        subprocess.run(command, capture_output=True, check=False, timeout=800)
    findings = json.loads(report.read_text())
    protocols = {one["id"]: one["finding"] for one in findings}
    assert protocols["TLS1_3"].startswith("offered")
    assert all(protocols[old].startswith("not offered") for old in ("SSLv2", "SSLv3", "TLS1", "TLS1_1"))
    serious = [
        one for one in findings if one["severity"] in SERIOUS and not one["id"].startswith(CERTIFICATES_OWN)
    ]
    record_case("S10", "serious findings of testssl.sh", len(serious), f"of {len(findings)}")
    assert serious == []
