"""The Python handle, against a real engine with real SavedModels."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.api import connect, running_server
from jupyter_tfserve.notebook.discovery import Discovery
from jupyter_tfserve.notebook.server import Server
from jupyter_tfserve.notebook.waiting import COMING
from jupyter_tfserve.types import ModelSpec

FREE_PORT = -1


def model_named(server, name):
    return next(model for model in server.models if model.name == name)


def test_status_shows_every_model_when_a_folder_of_models_is_open(server):
    text = server._repr_mimebundle_()["text/plain"]
    assert {model.name for model in server.models} >= {"version", "strings", "keras", "unbatched"}
    assert server.rest_url in text
    assert server.grpc_address in text
    assert [version.version for version in model_named(server, "version").versions] == [3, 2, 1]


@pytest.mark.parametrize("name", ["version", "strings", "keras", "unbatched"])
def test_curl_line_gets_an_answer_when_run_in_a_shell(server, name):
    line = model_named(server, name).curl
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"})
    assert {"predictions", "outputs"} & json.loads(done.stdout).keys(), done.stdout


def test_query_answers_with_the_outputs_own_dtypes_when_there_are_several(server):
    answer = server.query("version/2", np.zeros((3, 1), np.float32))
    assert answer["version"].dtype == np.int64
    assert answer["y"].dtype == np.float32
    assert answer["version"].tolist() == [2, 2, 2]
    assert answer["y"].tolist() == [[2.0], [2.0], [2.0]]


def test_predict_agrees_with_query_when_the_version_is_a_value(server):
    answer = server.predict("version", [[0.0]], version=1)
    assert answer["version"].tolist() == [1]
    with pytest.raises(ServingError):
        server.predict("version", [[0.0]], version=1, label="x")


def test_label_decides_who_answers_when_it_moves(server):
    assert server.label("production", 1, "version") is None
    assert server.query("version@production", [[0.0]])["version"].tolist() == [1]
    assert server.label("production", 2, "version") == 1
    assert server.query("version@production", [[0.0]])["version"].tolist() == [2]
    assert server.version(2, "version").labels == ("production",)
    assert server.unlabel("production", "version") == 2
    with pytest.raises(ServingError) as caught:
        server.query("version@production", [[0.0]])
    assert caught.value.message == "Unrecognized servable version label: production"


def test_versions_are_up_or_gone_when_the_policy_has_changed(server):
    server.versions("latest", 1, model="version")
    assert model_named(server, "version").policy == "latest 1"
    with pytest.raises(ServingError):
        server.versions("newest", model="version")
    server.versions("all", model="version")
    states = {item.version: item.state for item in model_named(server, "version").versions}
    assert states == {1: "AVAILABLE", 2: "AVAILABLE", 3: "AVAILABLE"}


def test_versions_are_refused_when_one_is_not_in_the_folder(server):
    with pytest.raises(ServingError) as caught:
        server.versions("specific", 1, 99, model="version")
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.message == "Model version has no version 99 in its folder."
    assert caught.value.hint == "There: 1, 2, 3."
    assert model_named(server, "version").policy == "all"


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("nobody", Code.NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        ("version/9", Code.NOT_FOUND, "Servable not found for request: Specific(version, 9)"),
    ],
)
def test_query_fails_in_the_data_planes_words_when_nobody_can_answer(server, target, code, message):
    with pytest.raises(ServingError) as caught:
        server.query(target, [[0.0]])
    assert (caught.value.code, caught.value.message) == (code, message)


def test_model_must_be_named_when_there_are_several(server):
    with pytest.raises(ServingError) as caught:
        server.label("production", 1)
    assert "Which model?" in caught.value.message
    assert "version" in caught.value.hint


def test_wait_raises_the_versions_error_when_it_cannot_load(server, models_folder):
    broken = models_folder / "keras" / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no protobuf")
    server.client.refresh("keras")
    with pytest.raises(ServingError) as caught:
        server.wait(2, "keras", timeout_s=200)
    assert caught.value.message.startswith("Version 2 of keras does not load: ")
    assert caught.value.code is not Code.DEADLINE_EXCEEDED
    shown = next(item for item in model_named(server, "keras").versions if item.version == 2)
    assert "to load failed" in str(shown)
    # The version before it serves on.
    assert server.query("keras/1", np.zeros((1, *keras_row(server)))) is not None


@pytest.mark.parametrize(
    ("error", "is_wanted", "calls"),
    [("", True, ["policy"]), ("it died", True, ["again"]), ("it died", False, ["again", "policy"])],
)
def test_load_tries_again_what_failed_and_keeps_the_policy_that_wants_it(tmp_path, error, is_wanted, calls):
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"model")
    seen = []
    version = SimpleNamespace(version=2, error_message=error, state="AVAILABLE")
    known = SimpleNamespace(name="m", versions=[version], base_path=str(tmp_path))

    def load(model, number):
        seen.append("again")
        return is_wanted

    server = SimpleNamespace(
        model=lambda _: known,
        client=SimpleNamespace(load=load),
        _serve=lambda *_: seen.append("policy"),
        wait=lambda number, model: (number, model),
    )
    assert Server.load(server, 2) == (2, "m")
    assert seen == calls


def keras_row(server):
    _, signatures = server.client.signatures("keras", 1)
    (spec,) = signatures["serving_default"].inputs.values()
    return spec.shape[1:]


def test_wait_says_so_when_the_version_is_not_chosen(server):
    server.versions("specific", 1, 3, model="version")
    with pytest.raises(ServingError) as caught:
        server.wait(2, "version")
    assert caught.value.hint == "Serve it too with `%tfserve versions all --model version`."
    server.versions("all", model="version")


def test_wait_ends_when_the_time_is_over(server):
    with pytest.raises(ServingError) as caught:
        server.wait(77, "version", timeout_s=0.2)
    assert caught.value.code is Code.DEADLINE_EXCEEDED


def test_empty_folder_is_kept_for_later_when_opened(server, tmp_path):
    before = {model.name for model in server.models}
    assert server.open(tmp_path / "new") == ()
    assert not (tmp_path / "new").exists()
    assert {model.name for model in server.models} == before
    assert "holds no models yet" in str(server.status())
    (tmp_path / "new" / "m").mkdir(parents=True)
    assert "holds no models yet" not in str(server.status())


def test_note_goes_when_it_is_no_longer_true(server, models_folder):
    server.open(models_folder / "version" / "2")
    assert any("version is served already" in note for note in server.status().notes)
    server.versions("latest", 3, model="version")
    assert not any("version is served already" in note for note in server.status().notes)
    server.versions("all", model="version")


def test_misspelt_folder_is_refused_with_the_nearest_one(tmp_path):
    (tmp_path / "saved_models").mkdir()
    with pytest.raises(ServingError, match=r"There is no folder .*saved_modles") as caught:
        connect(tmp_path / "saved_modles")
    assert "Did you mean saved_models?" in str(caught.value.hint)
    assert not (tmp_path / "saved_modles").exists()


def test_file_is_refused_with_a_hint_when_opened_as_a_folder(server, tmp_path):
    (tmp_path / "m.keras").write_bytes(b"")
    with pytest.raises(ServingError) as caught:
        server.open(tmp_path / "m.keras")
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.hint


@pytest.fixture
def discovery(kernel_home):
    return Discovery(kernel_home, ask_jupyter=False)


def test_second_connect_finds_the_first_when_it_runs(discovery, models_folder):
    first = connect(models_folder / "version", rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
    try:
        again = connect(models_folder / "version", rest_port=9, discovery=discovery)
        assert again.state().engine.pid == first.state().engine.pid
        assert any("to move it, `%tfserve stop` first" in note for note in again.status().notes)
        assert running_server(discovery).rest_url == first.rest_url
        assert all(item.state not in COMING for item in again.state().models[0].versions)
    finally:
        first.stop()


def test_engine_is_gone_and_says_so_when_stopped(discovery, kernel_home):
    server = connect(rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
    engine = psutil.Process(server.state().engine.pid)
    assert server.is_running
    server.stop()
    assert not engine.is_running()
    assert not server.is_running
    assert server._repr_mimebundle_()["text/plain"] == "Model server: The engine has stopped."
    assert list((kernel_home / "runtime").glob("tfserve-*.json")) == []
    with pytest.raises(ServingError) as caught:
        running_server(discovery)
    assert "%tfserve start" in caught.value.hint


def test_labels_are_back_when_the_kernel_starts_its_engine_again(discovery, kernel_home, models_folder):
    for round_ in range(2):
        folder = models_folder / "version"
        server = connect(folder, rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
        if round_ == 0:
            server.label("production", 3)
        labels = server.models[0].labels
        server.stop()
        assert labels == {"production": 3}


def test_start_fails_with_the_port_when_the_user_named_a_taken_one(discovery, server):
    taken = int(server.rest_url.rpartition(":")[2])
    with pytest.raises(ServingError) as caught:
        connect(rest_port=taken, discovery=discovery)
    assert str(taken) in caught.value.message
    assert discovery.find() is None


@pytest.mark.fault
def test_question_is_asked_again_when_the_engine_crashes_under_it(
    discovery, kernel_home, models_folder, monkeypatch
):
    server = connect(models_folder / "version", rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
    ask, crashed = ControlClient.predict_timed, []

    def crash_and_ask(*question):
        if not crashed:
            engine = psutil.Process(server.state().engine.pid)
            crashed.append(engine.pid)
            engine.kill()
        return ask(*question)

    monkeypatch.setattr(ControlClient, "predict_timed", crash_and_ask)
    try:
        reply = server.ask(ModelSpec("version"), [[1.0]])
        assert (reply.value["version"].tolist(), reply.value["version"].dtype) == ([3], np.int64)
        assert reply.note == "the engine crashed meanwhile and was asked again"
        assert [server.state().engine.pid] != crashed
    finally:
        server.stop()
    with pytest.raises(ServingError) as caught:
        server.ask(ModelSpec("version"), [[1.0]])
    assert caught.value.code is Code.UNAVAILABLE
