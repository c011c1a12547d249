"""Request logging whole: what REST and gRPC asked is in a file, and that file warms the next version up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from jupyter_tfserve.codec.classification import CLASSIFY_METHOD
from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import (
    ClassificationRequest,
    Example,
    MultiInferenceRequest,
    PredictionLog,
    PredictionServiceStub,
    PredictRequest,
    RegressionRequest,
)
from jupyter_tfserve.codec.regression import REGRESS_METHOD
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.codec.tfrecord import read_records

CONFIG = """
model_config_list {{ config {{
  name: "half" base_path: "{base}" model_platform: "tensorflow"
  {logging}
}} }}
"""
LOGGING = """
logging_config {{
  log_collector_config {{ type: "{kind}" filename_prefix: "{prefix}" }}
  sampling_config {{ sampling_rate: 1 }}
}}
"""


@pytest.fixture(scope="module")
def half_plus_two(inference_models) -> Path:
    return inference_models / "half_plus_two"


def config(base: Path, prefix: Path, kind: str = "tfrecord") -> str:
    return CONFIG.format(base=base, logging=LOGGING.format(kind=kind, prefix=prefix))


def ask_over_rest(engine: Any) -> None:
    engine.predict("half", instances=[[1.0], [2.0]])
    for verb in ("classify_x_to_y:classify", "regress_x_to_y:regress"):
        key, method = verb.split(":")
        body = {"signature_name": key, "examples": [{"x": 4.0}]}
        answer = engine.rest.post(f"/v1/models/half:{method}", content=json.dumps(body))
        assert answer.status_code == 200, answer.text


def ask_over_grpc(engine: Any) -> None:
    example = Example()
    example.features.feature["x"].float_list.value.append(4)
    predict = PredictRequest()
    predict.model_spec.name = "half"
    encode_tensor(np.float32([[3]]), predict.inputs["x"])
    classify, regress = ClassificationRequest(), RegressionRequest()
    for request, key in ((classify, "classify_x_to_y"), (regress, "regress_x_to_y")):
        request.model_spec.name, request.model_spec.signature_name = "half", key
        request.input.example_list.examples.append(example)
    multi = MultiInferenceRequest()
    for key, method in (("regress_x_to_y", REGRESS_METHOD), ("classify_x_to_y", CLASSIFY_METHOD)):
        task = multi.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "half", key
    multi.input.example_list.examples.append(example)
    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        stub.Predict(predict, timeout=60)
        stub.Classify(classify, timeout=60)
        stub.Regress(regress, timeout=60)
        stub.MultiInference(multi, timeout=60)


def read_logs(file: Path) -> list[Any]:
    with file.open("rb") as stream:
        return [PredictionLog.FromString(record) for record in read_records(stream)]


@pytest.mark.slow
def test_logged_requests_warm_the_next_version_up(start_engine, half_plus_two, tmp_path, eventually) -> None:
    base, file = tmp_path / "models" / "half", tmp_path / "logs" / "half.tfrecord"
    shutil.copytree(half_plus_two / "123", base / "1")
    (tmp_path / "models.config").write_text(config(base, tmp_path / "logs" / "half"))
    engine = start_engine(f"--model_config_file={tmp_path / 'models.config'}")
    engine.wait_version("half", 1)
    ask_over_rest(engine)
    ask_over_grpc(engine)
    assert (
        engine.rest.post("/v1/models/half:predict", content='{"instances": ["no number"]}').status_code == 400
    )
    eventually(lambda: file.exists() and len(read_logs(file)) == 7)
    logs = read_logs(file)
    assert [log.WhichOneof("log_type") for log in logs] == [
        *("predict_log", "classify_log", "regress_log"),
        *("predict_log", "classify_log", "regress_log", "multi_inference_log"),
    ]
    assert list(logs[0].predict_log.response.outputs["y"].float_val) == [2.5, 3.0]
    assert logs[1].classify_log.response.result.classifications[0].classes[0].score == 4
    assert logs[6].multi_inference_log.response.results[0].regression_result.regressions[0].value == 4
    assert {log.log_metadata.model_spec.version.value for log in logs} == {1}

    hidden = tmp_path / "models" / "half-2"
    shutil.copytree(half_plus_two / "123", hidden)
    (hidden / WARMUP_FILE).parent.mkdir()
    shutil.copy(file, hidden / WARMUP_FILE)
    hidden.rename(base / "2")
    assert engine.wait_version("half", 2)["state"] == "AVAILABLE"
    events = engine.control.get("/control/history").json()["events"]
    (row,) = [event for event in events if event["kind"] == "warmup"]
    assert (row["version"], row["detail"][:20]) == (2, "7 requests replayed ")
    # A replayed request is not logged again.
    assert len(read_logs(file)) == 7


@pytest.mark.slow
def test_logging_follows_the_configuration_and_an_unknown_collector_refuses_it(
    start_engine, half_plus_two, tmp_path
) -> None:
    base, prefix = tmp_path / "half", tmp_path / "half-log"
    shutil.copytree(half_plus_two / "123", base / "1")
    engine = start_engine()
    engine.call("POST", "/control/config", text=CONFIG.format(base=base, logging=""))
    engine.wait_version("half", 1)
    engine.predict("half", instances=[[1.0]])
    unknown = engine.control.post(
        "/control/config", content=json.dumps({"text": config(base, prefix, "hdfs")})
    )
    assert unknown.status_code == 404
    assert unknown.json()["error"] == "Cannot find LogCollector::Factory for type: hdfs"
    engine.predict("half", instances=[[2.0]])
    engine.call("POST", "/control/config", text=config(base, prefix))
    engine.predict("half", instances=[[3.0]])
    engine.call("POST", "/control/config", text=CONFIG.format(base=base, logging=""))
    engine.predict("half", instances=[[4.0]])
    engine.stop()
    (log,) = read_logs(tmp_path / "half-log.tfrecord")
    assert list(log.predict_log.request.inputs["x"].float_val) == [3.0]
