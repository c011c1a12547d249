"""The rarer kinds of models and services, whole: upstream's own end-to-end cases, and ours beside them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest

from jupyter_tfserve.codec.protos import SessionRunRequest, SessionRunResponse
from jupyter_tfserve.codec.tensor_proto import decode_tensor, encode_tensor
from jupyter_tfserve.dataplane.profiler_messages import ProfileRequest, ProfileResponse
from jupyter_tfserve.options import LimitOptions

pytestmark = pytest.mark.slow

KINDS = ["module", "unspecified_shape", "keras_ones", "lite", "lite_only", "lite_signature_defs", "tf1"]


@pytest.fixture(scope="module")
def kinds(make_saved_models) -> Path:
    base = make_saved_models(*(f"{name}=123" for name in KINDS))
    folder = base.parent / "kinds"
    folder.mkdir(exist_ok=True)
    for name in KINDS:
        if not (folder / name).exists():
            (folder / name).mkdir()
            # Upstream's tests write their version so.
            (folder / name / "00000123").symlink_to(base / name / "123")
    return folder


def unary(engine, method, request, answer_type, timeout=60):
    with grpc.insecure_channel(engine.connection.grpc_address) as channel:
        call = channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer_type.FromString,
        )
        return call(request, timeout=timeout)


def test_functions_and_keras_exports_answer_when_saved_as_upstream_does(kinds, start_engine) -> None:
    engine = start_engine(f"--model_base_path={kinds}")
    for name in ("unspecified_shape", "keras_ones", "module"):
        engine.wait_version(name, 123)
    assert engine.predict("unspecified_shape", instances=[2.0]) == {"predictions": [12.0]}
    custom = engine.predict("unspecified_shape", instances=[2.0], signature_name="custom_signature_key")
    assert custom == {"predictions": [2.0]}
    assert engine.predict("keras_ones", instances=[[2.0]]) == {"predictions": [[2.0]]}
    assert engine.predict("module", instances=[[1.0, 2.0]]) == {"predictions": [[3.0, 6.0]]}
    answer = engine.predict("module", inputs=["green"], signature_name="index")
    assert answer == {"outputs": {"output_0": [1], "output_1": ["green"]}}
    metadata = engine.rest.get("/v1/models/module/metadata").json()["metadata"]
    derived = metadata["signature_def"]["signature_def"]
    assert derived.keys() == {"serving_default", "index", "features", "weighted"}
    assert derived["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"


def test_lite_models_answer_when_they_are_preferred(kinds, start_engine) -> None:
    engine = start_engine(f"--model_base_path={kinds}", "--prefer_tflite_model", "--num_tflite_pools=3")
    for name in ("lite", "lite_only", "lite_signature_defs", "tf1"):
        engine.wait_version(name, 123)
        assert engine.predict(name, instances=[2.0]) == {"predictions": [3.0]}
        assert engine.predict(name, instances=[2.0, 4.0, 6.0]) == {"predictions": [3.0, 4.0, 5.0]}


def session_run(engine, feeds, fetches, **rest):
    request = SessionRunRequest(fetch=fetches, **rest)
    request.model_spec.name = "tf1"
    for name, value in feeds.items():
        encode_tensor(value, request.feed.add(name=name).tensor)
    method = "/tensorflow.serving.SessionService/SessionRun"
    response = unary(engine, method, request, SessionRunResponse)
    assert response.model_spec.version.value == 123
    return {one.name: decode_tensor(one.tensor, LimitOptions()).tolist() for one in response.tensor}


def test_session_run_feeds_and_fetches_when_it_is_enabled(kinds, start_engine) -> None:
    """By the graph's names, with and without ports, or by a signature's aliases; targets have no answer."""
    engine = start_engine(f"--model_base_path={kinds}/tf1", "--model_name=tf1", "--enable_session_run")
    engine.wait_version("tf1", 123)
    x = np.float32([2, 4])
    assert session_run(
        engine, {"features:0": x}, ["half/Read/ReadVariableOp:0", "features"], target=["two"]
    ) == {
        "half/Read/ReadVariableOp:0": 0.5,
        "features": [2, 4],
    }
    assert session_run(engine, {"x": x}, ["y"], tensor_name_is_alias=True) == {"y": [3, 4]}
    for feeds, fetches, code in (
        ({"features": x}, ["nothing:0"], grpc.StatusCode.NOT_FOUND),
        ({"nothing": x}, ["half:0"], grpc.StatusCode.NOT_FOUND),
        ({}, [], grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            session_run(engine, feeds, fetches)
        assert raised.value.code() is code
    assert engine.predict("tf1", instances=[2.0]) == {"predictions": [3.0]}


def test_profiler_and_session_run_are_unimplemented_when_they_are_off(kinds, start_engine) -> None:
    engine = start_engine(f"--model_base_path={kinds}/tf1", "--model_name=tf1", "--enable_profiler=false")
    for method, request in (
        ("/tensorflow.serving.SessionService/SessionRun", SessionRunRequest()),
        ("/tensorflow.ProfilerService/Profile", ProfileRequest()),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            unary(engine, method, request, SessionRunResponse)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Load:
    """Predictions over REST, one after the other, until the block ends; any that fails fails the block."""

    def __init__(self, engine, model: str) -> None:
        self._url = f"{engine.connection.rest_url}/v1/models/{model}:predict"
        self._done = threading.Event()
        self._failures: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self.answers = 0

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        assert not self._failures

    def _run(self) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._done.is_set() and not self._failures:
                answer = client.post(self._url, content='{"instances": [1.0, 2.0]}')
                self.answers += 1
                if answer.status_code != 200:
                    self._failures.append(answer.text)


def test_profiler_service_records_when_tensorflow_traces_during_rest_load(
    kinds, start_engine, tmp_path
) -> None:
    """Upstream's test_profiler_service_with_valid_trace_request; and the client finds a trace to show."""
    engine = start_engine(f"--model_base_path={kinds}/tf1", "--model_name=tf1")
    engine.wait_version("tf1", 123)
    script = Path(__file__).with_name("profile_client.py")
    command = [sys.executable, str(script), engine.connection.grpc_address, str(tmp_path / "log"), "500"]
    with Load(engine, "tf1"):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    (recorded,) = (tmp_path / "log").rglob("*.xplane.pb")
    assert "tf1-123" in recorded.name
    assert recorded.stat().st_size > 1000


def refusal(profile) -> grpc.StatusCode | None:
    """Why a profile of no length is refused; None if it is taken."""
    try:
        profile(ProfileRequest().SerializeToString(), timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return None


def test_profile_ends_early_when_it_is_terminated(kinds, start_engine, eventually) -> None:
    engine = start_engine(f"--model_base_path={kinds}/tf1", "--model_name=tf1")
    engine.wait_version("tf1", 123)
    request = ProfileRequest(session_id="mine", emit_xspace=True)
    request.opts.duration_ms, request.opts.host_tracer_level = 300_000, 2
    method = "/tensorflow.ProfilerService/"
    with Load(engine, "tf1") as load, grpc.insecure_channel(engine.connection.grpc_address) as channel:
        profile = channel.unary_unary(f"{method}Profile")
        running = profile.future(request.SerializeToString(), timeout=60)

        def is_recording() -> bool:
            nonlocal running
            if running.done():
                # It came while one of the questions below was answered, which are profiles too.
                assert running.code() is grpc.StatusCode.ALREADY_EXISTS
                running = profile.future(request.SerializeToString(), timeout=60)
            return refusal(profile) is grpc.StatusCode.ALREADY_EXISTS

        eventually(is_recording)
        enough = load.answers + 300
        eventually(lambda: load.answers > enough)
        assert not running.done()
        channel.unary_unary(f"{method}Terminate")(b"\x0a\x04mine", timeout=30)
        answer = ProfileResponse.FromString(running.result())
    assert not answer.empty_trace
    assert len(answer.xspace) > 1000
    assert not answer.tool_data
    with pytest.raises(grpc.RpcError) as raised:
        unary(engine, f"{method}Monitor", ProfileRequest(), ProfileResponse)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_start_fails_when_an_operation_library_is_missing(tmp_path) -> None:
    missing = tmp_path / "missing.so"
    command = [sys.executable, "-m", "jupyter_tfserve", "serve"]
    command += [f"--model_base_path={tmp_path}", f"--custom_op_libraries={missing}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"--custom_op_libraries: there is no file '{missing}'" in done.stdout + done.stderr
