"""Versions that hang, compute without end or answer nonsense: they cost themselves, and the version below serves."""

from __future__ import annotations

import shutil

import grpc
import pytest

from jupyter_tfserve.codec import protos
from tests.contract.engines import config_text
from tests.reliability.oracles import GOOD, GOOD_ANSWER, Oracles
from tests.reliability.test_storms import PREDICT, predict_message

GIVEN_UP_AFTER = 2


@pytest.fixture
def poisoned(tmp_path, saved_models, start_engine):
    """`poisoned(kind, *flags)`: an engine with a good model, and `m`, whose version 1 is good and whose 2 is `kind`."""

    def start(kind: str, *flags: str):
        for version, name in ((1, "fail_run"), (2, kind)):
            shutil.copytree(saved_models / name / "1", tmp_path / "m" / str(version))
        config = tmp_path / "models.config"
        config.write_text(config_text({GOOD: saved_models / GOOD, "m": tmp_path / "m"}))
        settings = (
            "--file_system_poll_wait_seconds=0.2",
            "--load_retry_interval_micros=1000",
            "--rest_api_timeout_in_ms=1000",
        )
        engine = start_engine(f"--model_config_file={config}", *settings, *flags)
        engine.wait_version(GOOD, 1)
        return engine

    return start


@pytest.mark.nightly
@pytest.mark.fault
@pytest.mark.parametrize("kind", ["hang_run", "spin"])
def test_version_is_given_up_when_its_runs_come_to_no_end_again_and_again(
    poisoned, eventually, record_case, kind
) -> None:
    engine = poisoned(kind, f"--max_worker_deaths={GIVEN_UP_AFTER}")
    oracles = Oracles(engine)
    assert engine.wait_version("m", 2)["state"] == "AVAILABLE"
    slowest_s, hung = 0.0, 0

    def is_given_up() -> bool:
        """Callers without a deadline leave when somebody else has waited in vain: TensorFlow is told of no end."""
        nonlocal slowest_s, hung
        poison = [call.future(predict_message("m", [-1.0])) for _ in range(2)]
        asked = engine.rest.post("/v1/models/m:predict", content='{"instances": [1.0]}')
        assert asked.status_code in (200, 404, 503, 504), asked.text
        oracles.check_clean(asked.text)
        hung += asked.status_code == 504
        for one in poison:
            one.cancel()
        slowest_s = max(slowest_s, oracles.ask_good())
        return engine.version_states("m") == {2: "END", 1: "AVAILABLE"}

    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        call = channel.unary_unary(PREDICT)
        eventually(is_given_up)
    ended = engine.wait_version("m", 2)
    reason = f"Quarantined after {GIVEN_UP_AFTER} hangs within 3600 s; the last: "
    assert ended["error_message"].startswith(reason + "worker process was ended: its runs came to no end")
    assert ended["error_message"] in {e["detail"] for e in engine.call("GET", "/control/history")["events"]}
    status = engine.rest.get("/v1/models/m/versions/2").json()["model_version_status"][0]["status"]
    assert status == {"error_code": "UNAVAILABLE", "error_message": ended["error_message"]}
    assert engine.predict("m", instances=[1.0]) == {"predictions": [1.0]}
    record_case("F8", f"requests that waited in vain until {kind} was given up", hung, "")
    record_case("F8", f"the good model's slowest answer beside {kind}", slowest_s * 1000, "ms")


@pytest.mark.nightly
@pytest.mark.fault
@pytest.mark.parametrize("kind", ["hang_load", "spin_load"])
def test_version_is_given_up_when_its_load_comes_to_no_end_twice(poisoned, record_case, kind) -> None:
    engine = poisoned(kind, "--load_timeout_s=10")
    oracles = Oracles(engine)
    ended = engine.wait_version("m", 2)
    assert ended["state"] == "END"
    assert ended["error_message"] == (
        "Quarantined after 2 deaths while it was loaded; the last: "
        "Loading servable {name: m version: 2} took longer than 10 s"
    )
    assert engine.wait_version("m", 1)["state"] == "AVAILABLE"
    assert engine.predict("m", instances=[1.0]) == {"predictions": [1.0]}
    details = [e["detail"] for e in engine.call("GET", "/control/history")["events"] if e["version"] == 2]
    loads = sum("took longer than 10 s" in detail for detail in details)
    record_case("F8", f"loads of {kind} until it was given up", loads, "")
    assert loads == 2
    oracles.check()


def test_nonsense_is_answered_as_tensorflow_serving_spells_it(engine, oracles, saved_models) -> None:
    """F8's neighbour: a model whose answers are no numbers is still only wrong about itself."""
    engine.call("POST", "/control/open", path=str(saved_models / "nan"))
    assert engine.wait_version("nan", 1)["state"] == "AVAILABLE"
    try:
        answer = engine.rest.post("/v1/models/nan:predict", content='{"instances": [0.0, 1.0, -1.0]}')
        assert (answer.status_code, answer.text.split()) == (
            200,
            ["{", '"predictions":', "[NaN,", "Infinity,", "-Infinity", "]", "}"],
        )
        with grpc.insecure_channel(engine.connection.grpc_address) as channel:
            said = protos.PredictResponse.FromString(
                channel.unary_unary(PREDICT)(predict_message("nan", [0.0, 1.0, -1.0]), timeout=60)
            )
        assert [str(value) for value in said.outputs["y"].float_val] == ["nan", "inf", "-inf"]
        assert engine.predict(GOOD, instances=[1.0, 2.0, 5.0]) == {"predictions": GOOD_ANSWER}
    finally:
        engine.call("DELETE", "/control/models/nan")
