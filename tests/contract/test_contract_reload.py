"""Reloading the configuration over gRPC: upstream's checks, texts and order, labels among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from jupyter_tfserve.codec import protos
from tests.contract.engines import config_text, running_engine
from tests.running_engine import RunningEngine

TIMEOUT_S = 30
INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def empty_engine(tmp_path_factory) -> Iterator[RunningEngine]:
    """Started with an empty config file, which says nothing; each test sets what it needs."""
    folder = tmp_path_factory.mktemp("reload")
    config = folder / "models.config"
    config.write_text("")
    flags = (
        f"--model_config_file={config}",
        "--max_num_load_retries=0",
        "--file_system_poll_wait_seconds=0.2",
    )
    with running_engine(folder, *flags) as running:
        yield running


@pytest.fixture(scope="module")
def reload(empty_engine):
    """Applies a list of models: `reload(entry(…), …)`, the whole configuration; or a request as it is."""
    with grpc.insecure_channel(empty_engine.connection.grpc_address) as channel:
        stub = protos.ModelServiceStub(channel)

        def apply(*entries: Any, request: Any = None) -> Any:
            if request is None:
                request = protos.ReloadConfigRequest()
                request.config.model_config_list.SetInParent()
                request.config.model_config_list.config.extend(entries)
            return stub.HandleReloadConfigRequest(request, timeout=TIMEOUT_S)

        yield apply


@pytest.fixture
def refused(reload):
    """The status of a configuration that must fail."""

    def status(*entries: Any, request: Any = None) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as raised:
            reload(*entries, request=request)
        return raised.value.code(), raised.value.details()

    return status


@pytest.fixture
def entry(contract_models):
    """A model of the contract's as a config entry."""

    def make(
        name: str, path: Path | str | None = None, labels: Any = (), versions: Any = (), **more: Any
    ) -> Any:
        base_path = str(contract_models / name if path is None else path)
        message = protos.ModelConfig(name=name, base_path=base_path, model_platform="tensorflow", **more)
        message.version_labels.update(dict(labels))
        if versions:
            message.model_version_policy.specific.versions.extend(versions)
        return message

    return make


def served(engine: RunningEngine) -> set[str]:
    return {model["name"] for model in engine.call("GET", "/control/state")["models"]}


def test_reload_returns_when_new_models_serve(empty_engine, reload, entry) -> None:
    response = reload(entry("half_plus_two"), entry("half_plus_three"))
    assert (response.status.error_code, response.status.error_message) == (0, "")
    assert empty_engine.predict("half_plus_two", instances=[1.0]) == {"predictions": [2.5]}
    assert empty_engine.predict("half_plus_three", instances=[1.0]) == {"predictions": [3.5]}


def test_reload_replaces_everything(empty_engine, reload, entry, eventually) -> None:
    reload(entry("half_plus_two"))
    reload(entry("half_plus_three"))
    assert served(empty_engine) == {"half_plus_three"}

    def ended() -> bool:
        answer = empty_engine.rest.get("/v1/models/half_plus_two").json()
        return answer["model_version_status"][0]["state"] == "END"

    eventually(ended)
    reload()
    assert served(empty_engine) == set()
    reload(entry("half_plus_two"))
    assert empty_engine.predict("half_plus_two", instances=[1.0]) == {"predictions": [2.5]}


def test_base_path_may_change(empty_engine, reload, entry, contract_models, eventually) -> None:
    def state() -> dict[int, str]:
        return empty_engine.version_states("half_plus_two")

    reload(entry("half_plus_two"))
    reload(entry("half_plus_two", contract_models / "half_plus_two_2_versions"))
    eventually(lambda: state().get(124) == "AVAILABLE" and state()[123] == "END")
    reload(entry("half_plus_two"))
    eventually(lambda: state()[123] == "AVAILABLE" and state()[124] == "END")


def test_model_that_fails_is_told_and_the_rest_serves(empty_engine, reload, refused, entry) -> None:
    reload(entry("half_plus_two"))
    code, message = refused(entry("bad_half_plus_two"), entry("half_plus_three"))
    assert code is grpc.StatusCode.UNKNOWN
    assert message.startswith(
        "1 model(s) did not become available: {{{name: bad_half_plus_two version: 123} due to error: "
    )
    assert message.endswith("}, }")
    assert served(empty_engine) == {"bad_half_plus_two", "half_plus_three"}
    assert empty_engine.predict("half_plus_three", instances=[1.0]) == {"predictions": [3.5]}
    (status,) = empty_engine.rest.get("/v1/models/bad_half_plus_two").json()["model_version_status"]
    assert (status["state"], status["status"]["error_code"]) == ("END", "UNIMPLEMENTED")
    assert status["status"]["error_message"] == "Session Bundle is deprecated and removed."


def without_platform(entry: Any, **more: Any) -> Any:
    entry.ClearField("model_platform")
    for field, value in more.items():
        setattr(entry, field, value)
    return entry


def test_config_that_breaks_a_rule_leaves_no_trace(empty_engine, reload, refused, entry) -> None:
    reload(entry("half_plus_two"))
    one = entry("half_plus_three")
    rows = [
        ([one, one], INVALID, "Illegal to list model half_plus_three multiple times in config list"),
        (
            [entry("half_plus_three", "a/b")],
            INVALID,
            "Expected model half_plus_three to have an absolute path or URI; got base_path()=a/b",
        ),
        (
            [entry("half_plus_three", "")],
            INVALID,
            "Expected model half_plus_three to have an absolute path or URI; got base_path()=",
        ),
        (
            [without_platform(entry("half_plus_three"))],
            INVALID,
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is half_plus_three",
        ),
        (
            [entry("half_plus_three", model_type=1)],
            INVALID,
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform, model name is half_plus_three",
        ),
        (
            [without_platform(entry("half_plus_three"), model_type=2)],
            INVALID,
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
        (
            [without_platform(entry("half_plus_three"), model_platform="other")],
            INVALID,
            "Model half_plus_three requests unsupported platform other",
        ),
        (
            [without_platform(entry("half_plus_two"), model_platform="other")],
            INVALID,
            "Illegal to change a model's platform. For model half_plus_two platform was tensorflow and "
            "new platform requested is other",
        ),
        (
            [entry("half_plus_two", labels={"stable": 9})],
            FAILED,
            "Request to assign label to version 9 of model half_plus_two, which is not currently available "
            "for inference",
        ),
    ]
    for entries, code, message in rows:
        assert refused(*entries) == (code, message)
        assert served(empty_engine) == {"half_plus_two"}
    reload(entry("half_plus_three"))
    assert served(empty_engine) == {"half_plus_three"}


def test_only_a_list_of_models_is_taken(refused, empty_engine) -> None:
    text = (
        "ServerModelConfig type not supported by HandleReloadConfigRequest. "
        "Only ModelConfigList is currently supported"
    )
    custom = protos.ReloadConfigRequest()
    custom.config.custom_model_config.type_url = "x"
    before = served(empty_engine)
    assert refused(request=protos.ReloadConfigRequest()) == (INVALID, text)
    assert refused(request=custom) == (INVALID, text)
    assert served(empty_engine) == before


def test_deprecated_model_type_still_works(empty_engine, reload, entry) -> None:
    reload(without_platform(entry("half_plus_three"), model_type=1))
    assert empty_engine.predict("half_plus_three", instances=[1.0]) == {"predictions": [3.5]}


def test_label_needs_its_version_first(empty_engine, reload, refused, entry, eventually) -> None:
    name = "half_plus_two_2_versions"

    def told(version: int) -> tuple[grpc.StatusCode, str]:
        return FAILED, (
            f"Request to assign label to version {version} of model {name}, "
            "which is not currently available for inference"
        )

    def answering(label: str) -> int:
        answer = empty_engine.rest.get(f"/v1/models/{name}/labels/{label}/metadata")
        assert answer.status_code == 200, answer.text
        return int(answer.json()["model_spec"]["version"])

    reload(entry(name, versions=[123]))
    reload(entry(name, versions=[123], labels={"stable": 123}))
    assert answering("stable") == 123
    # In one step with its label the new version is not even loaded.
    assert refused(entry(name, versions=[123, 124], labels={"stable": 123, "canary": 124})) == told(124)
    assert empty_engine.version_states(name).get(124) in (None, "END")
    assert answering("stable") == 123
    reload(entry(name, versions=[123, 124], labels={"stable": 123}))
    eventually(lambda: empty_engine.version_states(name).get(124) == "AVAILABLE")
    reload(entry(name, versions=[123, 124], labels={"stable": 124, "old": 123}))
    assert (answering("stable"), answering("old")) == (124, 123)
    # The whole map is replaced.
    reload(entry(name, versions=[123, 124], labels={"old": 123}))
    gone = empty_engine.rest.get(f"/v1/models/{name}/labels/stable/metadata")
    assert (gone.status_code, gone.json()["error"]) == (400, "Unrecognized servable version label: stable")


def test_metrics_asked_for_tell_their_growth(reload, entry) -> None:
    request = protos.ReloadConfigRequest(metric_names=["/tensorflow/serving/request_count", "/unknown"])
    request.config.model_config_list.config.append(entry("half_plus_two"))
    response = reload(request=request)
    assert [(found.name, found.int64_value_increase) for found in response.metric] == [
        ("/tensorflow/serving/request_count", 0),
        ("/unknown", 0),
    ]


def test_labels_of_versions_to_come_need_the_flag(contract_models, tmp_path) -> None:
    """With it a new label may point ahead, but one that is in use may not be moved there."""
    name = "half_plus_two_2_versions"
    config = tmp_path / "models.config"
    labels = 'version_labels { key: "stable" value: 124 } version_labels { key: "ahead" value: 200 }'
    config.write_text(config_text({name: contract_models / name}, labels))
    flags = (f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models")
    with (
        running_engine(tmp_path, *flags) as engine,
        grpc.insecure_channel(engine.connection.grpc_address) as channel,
    ):
        engine.wait_version(name, 124)
        answer = engine.rest.post(f"/v1/models/{name}/labels/stable:predict", content='{"instances": [1]}')
        assert answer.json() == {"predictions": [2.5]}
        answer = engine.rest.post(f"/v1/models/{name}/labels/ahead:predict", content='{"instances": [1]}')
        assert (answer.status_code, answer.json()["error"]) == (
            404,
            f"Servable not found for request: Specific({name}, 200)",
        )
        request = protos.ReloadConfigRequest()
        moved = request.config.model_config_list.config.add(
            name=name, base_path=str(contract_models / name), model_platform="tensorflow"
        )
        moved.version_labels["stable"] = 300
        with pytest.raises(grpc.RpcError) as raised:
            protos.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=TIMEOUT_S)
        assert raised.value.code() is FAILED
