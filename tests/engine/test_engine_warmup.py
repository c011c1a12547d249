"""Warm-up whole: the real engine replays recorded requests on the real model before it serves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.codec.tfrecord import encode_record

BY_TWO = "incr_counter_by"


@pytest.fixture(scope="module")
def saved_counter(make_saved_models) -> Path:
    return make_saved_models("counter=77") / "counter" / "77"


@pytest.fixture
def counter(saved_counter, tmp_path: Path) -> Path:
    """A base path of the counter model, version 1: what was run on it can be asked of it."""
    base = tmp_path / "counter"
    shutil.copytree(saved_counter, base / "1")
    return base


def write_warmup(base: Path, *records: bytes) -> None:
    file = base / "1" / WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"".join(map(encode_record, records)))


def increment(alias: str = "delta") -> bytes:
    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = BY_TWO
    encode_tensor(np.float32(2), log.predict_log.request.inputs[alias])
    return bytes(log.SerializeToString())


def start(start_engine: Any, base: Path, *flags: str) -> Any:
    return start_engine(f"--model_base_path={base}", "--model_name=counter", *flags)


def count(engine: Any) -> float:
    body = {"signature_name": BY_TWO, "inputs": {"delta": 0.0}}
    return float(engine.predict("counter", **body)["outputs"])


@pytest.mark.slow
def test_recorded_requests_have_run_when_the_version_is_available(start_engine, counter) -> None:
    write_warmup(counter, increment(), increment())
    engine = start(start_engine, counter, "--num_request_iterations_for_warmup=3")
    assert engine.wait_version("counter", 1)["state"] == "AVAILABLE"
    assert count(engine) == 12
    events = engine.control.get("/control/history").json()["events"]
    (row,) = [event for event in events if event["kind"] == "warmup"]
    assert (row["model"], row["version"]) == ("counter", 1)
    assert row["detail"].startswith("2 requests replayed in ")


@pytest.mark.slow
def test_failing_warm_up_fails_the_load_which_is_retried(start_engine, counter, eventually) -> None:
    write_warmup(counter, increment("other"))
    engine = start(start_engine, counter, "--max_num_load_retries=2", "--load_retry_interval_micros=1000")
    version = engine.wait_version("counter", 1)
    assert (version["state"], version["error_code"]) == ("END", "INVALID_ARGUMENT")
    assert "Signature input alias: delta" in version["error_message"]
    events = engine.control.get("/control/history").json()["events"]
    assert len([event for event in events if event["kind"] == "error"]) == 3
    # Nothing is left of the three attempts but the process that forks the workers.
    eventually(lambda: len(engine.processes()) <= 1)


@pytest.mark.slow
@pytest.mark.fault
def test_warm_up_that_kills_its_worker_fails_the_load_and_nothing_else(
    start_engine, make_saved_models, counter, eventually
) -> None:
    shutil.copytree(make_saved_models("abort_run=77") / "abort_run" / "77", counter.parent / "abort" / "1")
    log = PredictionLog()
    encode_tensor(np.float32([-1]), log.predict_log.request.inputs["x"])
    write_warmup(counter.parent / "abort", log.SerializeToString())
    engine = start_engine(f"--model_base_path={counter.parent}", "--max_num_load_retries=0")
    version = engine.wait_version("abort", 1)
    assert (version["state"], version["error_code"]) == ("END", "UNAVAILABLE")
    assert "worker died while it ran the request" in version["error_message"]
    assert engine.wait_version("counter", 1)["state"] == "AVAILABLE"
    assert count(engine) == 0
    eventually(lambda: len(engine.processes()) <= 2)


@pytest.mark.slow
def test_broken_warm_up_data_is_not_read_when_warm_up_is_off(start_engine, counter) -> None:
    (counter / "1" / "assets.extra").mkdir()
    (counter / "1" / WARMUP_FILE).write_text("no TFRecord file")
    engine = start(start_engine, counter, "--enable_model_warmup=false")
    assert engine.wait_version("counter", 1)["state"] == "AVAILABLE"
    assert count(engine) == 0
