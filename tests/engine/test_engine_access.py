"""Keys and limits of a real engine: made, shown once, held to, kept over a crash, gone at once, written nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from jupyter_tfserve.codec.protos import GetModelStatusRequest, ModelServiceStub

PREDICT = "/v1/models/half_plus_two:predict"
BODY = json.dumps({"instances": [2.0]})


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def status_code(channel: grpc.Channel, *metadata: tuple[str, str]) -> grpc.StatusCode:
    request = GetModelStatusRequest()
    request.model_spec.name = "half_plus_two"
    try:
        ModelServiceStub(channel).GetModelStatus(request, metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_keys_and_limits_hold_from_making_to_revoking_and_over_a_crash(start_engine, saved_models, tmp_path):
    flags = [
        "--require_keys",
        f"--state_dir={tmp_path / 'state'}",
        f"--model_base_path={saved_models}/half_plus_two",
        "--model_name=half_plus_two",
    ]
    engine = start_engine(*flags)
    engine.wait_version("half_plus_two", 1)
    assert engine.call("GET", "/control/state")["engine"]["keys_required"] is True

    # S1: nothing listens off this machine.
    listening = [
        c for c in psutil.net_connections("tcp") if c.pid == engine.process.pid and c.status == "LISTEN"
    ]
    assert len(listening) == 3
    # gRPC's sockets are of IPv6.
    assert {connection.laddr.ip.removeprefix("::ffff:") for connection in listening} == {"127.0.0.1"}

    # Nobody comes in without a key; the control port, and so the Jupyter proxy, needs none.
    assert engine.rest.post(PREDICT, content=BODY).status_code == 401
    assert engine.rest.post(PREDICT, content=BODY, headers=bearer(engine.connection.token)).status_code == 401
    assert engine.rest.get("/healthz").status_code == 200
    assert engine.control.post(PREDICT, content=BODY).status_code == 200

    made = engine.call("POST", "/control/keys", models=["half_plus_two"], name="Ann", expires_s=3600)
    other = engine.call("POST", "/control/keys", models=["*"], requests_per_second=0.01, burst=2)
    text = made["key"]
    listed = engine.call("GET", "/control/keys")
    assert listed["required"] is True
    assert [(key["name"], key["models"]) for key in listed["keys"]] == [
        ("Ann", ["half_plus_two"]),
        ("", ["*"]),
    ]
    assert text not in json.dumps(listed)
    assert engine.rest.post(PREDICT, content=BODY, headers=bearer(text)).json() == {"predictions": [3.0]}
    assert engine.rest.get("/v1/models", headers=bearer(text)).status_code == 403
    assert [engine.rest.get("/v1/models", headers=bearer(other["key"])).status_code for _ in range(3)] == [
        200,
        200,
        429,
    ]

    # Limits of the model hold for whoever asks.
    engine.call("PUT", "/control/models/half_plus_two/limits", requests_per_second=0.01, burst=1)
    (model,) = engine.call("GET", "/control/state")["models"]
    assert model["limits"] == {
        "requests_per_second": 0.01,
        "burst": 1,
        "max_in_flight": None,
        "slow_start_s": None,
    }
    assert engine.rest.post(PREDICT, content=BODY, headers=bearer(text)).status_code == 200
    refused = engine.control.post(PREDICT, content=BODY)
    assert (refused.status_code, refused.json()["error"]) == (
        429,
        "Model half_plus_two takes 0.01 requests per second",
    )
    assert 90 <= int(refused.headers["Retry-After"]) <= 100

    # A slow start begins when a version becomes available: not now, but after the restart below.
    slowly = {"requests_per_second": 1, "burst": 50, "slow_start_s": 3600}
    engine.call("PUT", "/control/models/half_plus_two/limits", **slowly)
    assert [engine.control.post(PREDICT, content=BODY).status_code for _ in range(3)] == [200] * 3

    # What was acknowledged is there after a crash.
    engine.process.kill()
    engine.process.wait(30)
    again = start_engine(*flags)
    again.wait_version("half_plus_two", 1)
    (model,) = again.call("GET", "/control/state")["models"]
    assert model["limits"] == {**slowly, "max_in_flight": None}
    assert [again.control.post(PREDICT, content=BODY).status_code for _ in range(3)] == [200, 429, 429]
    again.call("PUT", "/control/models/half_plus_two/limits")
    assert again.rest.post(PREDICT, content=BODY, headers=bearer(text)).status_code == 200
    with grpc.insecure_channel(again.connection.grpc_address) as channel:
        assert status_code(channel) is grpc.StatusCode.UNAUTHENTICATED
        assert status_code(channel, ("authorization", f"Bearer {text}")) is grpc.StatusCode.OK
        again.call("DELETE", f"/control/keys/{made['id']}")
        assert again.rest.post(PREDICT, content=BODY, headers=bearer(text)).status_code == 401
        assert status_code(channel, ("authorization", f"Bearer {text}")) is grpc.StatusCode.UNAUTHENTICATED

    kinds = [event["kind"] for event in again.call("GET", "/control/history?limit=100")["events"]]
    assert (kinds.count("key"), kinds.count("limits")) == (3, 3)
    assert_nowhere([text, other["key"], engine.connection.token, again.connection.token], again, tmp_path)


def assert_nowhere(secrets: list[str], engine, folder: Path) -> None:
    """S8: in no log, command line, environment or state file; the connection file alone has a token."""
    places = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for process in [engine.process.pid, *(child.pid for child in engine.processes())]:
        for name in ("cmdline", "environ"):
            path = Path(f"/proc/{process}/{name}")
            if path.exists():
                places[path] = path.read_bytes()
    for path, content in places.items():
        if path.name.startswith("connection-"):
            continue
        for secret in secrets:
            assert secret.encode() not in content, path


def test_version_that_leads_out_of_the_roots_is_never_loaded(start_engine, tmp_path):
    """S6: what was opened well and was changed since. No worker is asked: nothing here is a model."""
    version, outside = tmp_path / "models" / "m" / "1", tmp_path / "outside"
    version.mkdir(parents=True)
    outside.write_bytes(b"elsewhere")
    engine = start_engine(f"--allowed_roots={tmp_path / 'models'}", "--max_num_load_retries=0")
    engine.call("POST", "/control/open", path=str(tmp_path / "models" / "m"))
    (version / "variables").symlink_to(outside)
    (version / "saved_model.pb").write_bytes(b"a model")
    state = engine.wait_version("m", 1)
    assert (state["state"], state["error_code"]) == ("END", "PERMISSION_DENIED")
    assert "'variables' is outside the folders that this server may serve" in state["error_message"]
    assert str(outside) not in state["error_message"]


WRONG_KEYS = [
    ({}, "'models'"),
    ({"models": []}, "1 to 100 models"),
    ({"models": "half_plus_two"}, "'models'"),
    ({"models": [1]}, "'models'"),
    ({"models": ["*"] , "name": 5}, "'name'"),
    ({"models": ["*"], "name": "a\nb"}, "printable"),
    ({"models": ["*"], "name": "x" * 101}, "at most 100"),
    ({"models": ["*"], "expires_s": 0}, "'expires_s'"),
    ({"models": ["*"], "expires_s": True}, "'expires_s'"),
    ({"models": ["*"], "expires_s": 1e300}, "'expires_s'"),
    ({"models": ["*"], "requests_per_second": 0}, "'requests_per_second'"),
    ({"models": ["*"], "burst": 3}, "'burst' needs"),
]  # fmt: skip


def test_wrong_calls_are_refused_with_the_reason(start_engine, tmp_path):
    engine = start_engine(f"--allowed_roots={tmp_path / 'models'}")
    (tmp_path / "models-secret").mkdir()
    for body, text in WRONG_KEYS:
        answer = engine.control.post("/control/keys", content=json.dumps(body))
        assert answer.status_code == 400, body
        assert text in answer.json()["error"]
    unknown = [
        ("POST", "/control/keys", {"models": ["absent"]}),
        ("DELETE", "/control/keys/absent", {}),
        ("PUT", "/control/models/absent/limits", {}),
    ]
    for method, path, body in unknown:
        assert engine.control.request(method, path, content=json.dumps(body)).status_code == 404, path
    assert engine.call("GET", "/control/keys") == {"keys": [], "required": False}
    outside = {"path": str(tmp_path / "models-secret" / "m"), "create": True}
    answer = engine.control.post("/control/open", content=json.dumps(outside))
    assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")
    assert not (tmp_path / "models-secret" / "m").exists()
    config = 'model_config_list { config { name: "m" base_path: "/etc" model_platform: "tensorflow" } }'
    answer = engine.control.post("/control/config", content=json.dumps({"text": config}))
    assert answer.status_code == 403
    assert engine.call("GET", "/control/state")["models"] == []


@pytest.mark.nightly
def test_wrong_token_takes_as_long_however_much_of_it_is_right(start_engine, record_case):
    """S3: Welch's t of equal prefixes of nothing and of all but the last character."""
    import statistics
    import time

    engine = start_engine()
    token = engine.connection.token
    guesses = ["x" * len(token), token[:-1] + ("x" if token[-1] != "x" else "y")]
    times: list[list[float]] = [[], []]
    with httpx.Client(base_url=engine.connection.control_url, trust_env=False) as client:
        for turn in range(20_000):
            began = time.perf_counter()
            answer = client.get("/healthz", headers=bearer(guesses[turn % 2]))
            times[turn % 2].append(time.perf_counter() - began)
            assert answer.status_code == 401
    # The slowest tenth is the machine's affair.
    kept = [sorted(values)[: len(values) * 9 // 10] for values in times]
    means = [statistics.fmean(values) for values in kept]
    errors = [statistics.variance(values) / len(values) for values in kept]
    welch = abs(means[0] - means[1]) / sum(errors) ** 0.5
    record_case("S3", "Welch's t of a token that is all wrong and one that is nearly right", welch, "")
    assert welch < 4.5
