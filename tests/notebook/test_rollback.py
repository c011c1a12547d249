"""Undo, load, unload, history and configuration on a real engine."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.api import connect
from jupyter_tfserve.notebook.discovery import Discovery

FREE_PORT = -1


@pytest.fixture
def own(kernel_home, models_folder):
    """A server of its own with the three versions of one model, the latest served."""
    discovery = Discovery(kernel_home, ask_jupyter=False)
    server = connect(models_folder / "version", rest_port=FREE_PORT, grpc_port=FREE_PORT, discovery=discovery)
    yield server
    server.stop()


def served(server):
    (model,) = server.state().models
    return {item.version for item in model.versions if item.state == "AVAILABLE"}


def test_each_change_is_undone_when_rolled_back(own):
    own.versions("all")
    own.label("production", 1)
    own.label("production", 2)
    assert own.rollback() == "production of version -> 1 (was 2)"
    assert own.query("version@production", [[0.0]])["version"].tolist() == [1]
    # Undoing the undoing is a change like any other.
    assert own.rollback() == "production of version -> 2 (was 1)"
    own.unlabel("production")
    assert own.rollback("version") == "production of version -> 2"
    assert dict(own.models[0].labels) == {"production": 2}


def test_policy_is_undone_when_it_changed_last(own):
    own.versions("all")
    assert served(own) == {1, 2, 3}
    assert own.rollback() == "version versions: latest 1 (was all)"
    assert served(own) == {3}


def test_rollback_loads_the_version_when_the_policy_has_let_it_go(own):
    own.versions("all")
    own.label("production", 1)
    own.versions("latest", 1)
    own.label("production", 3)
    own.client.wait("version", 1, 30.0)
    assert own.rollback() == "production of version -> 1 (was 3); version 1 was loaded for it"
    assert own.query("version@production", [[0.0]])["version"].tolist() == [1]
    # The choice of versions is as the person made it: the next save is served.
    assert own.state().models[0].policy == {"latest": {"num_versions": 1}}
    assert own.rollback() == "production of version -> 3 (was 1)"


def test_rollback_names_the_next_steps_when_a_configuration_keeps_no_labelled_version(
    own, kernel_home, models_folder
):
    text = (
        f'model_config_list {{ config {{ name: "version" base_path: "{models_folder / "version"}"'
        ' model_platform: "tensorflow" } }'
    )
    own.client.set_config(text)
    own.versions("all")
    own.label("production", 1)
    own.label("production", 3)
    own.client.set_config(text.replace(" } }", ' version_labels { key: "production" value: 3 } } }'))
    own.client.wait("version", 1, 30.0)
    with pytest.raises(ServingError) as caught:
        own.rollback()
    assert "Then `%tfserve label production=1`." in (caught.value.hint or caught.value.message)
    assert dict(own.models[0].labels) == {"production": 3}


def test_versions_that_are_not_there_are_refused_by_the_engine_when_chosen(own):
    with pytest.raises(ServingError) as caught:
        own.client.set_policy("version", {"specific": {"versions": [3, 9]}})
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.message == "Model version has no version 9 in its folder."
    assert served(own) == {3}


def test_one_version_comes_and_goes_when_loaded_and_unloaded(own):
    assert served(own) == {3}
    assert own.load(1).state == "AVAILABLE"
    assert served(own) == {1, 3}
    own.label("production", 1)
    with pytest.raises(ServingError) as caught:
        own.unload(1)
    assert caught.value.hint == "Point the label elsewhere first: `%tfserve label production=VERSION`."
    own.unload(3)
    assert served(own) == {1}
    with pytest.raises(ServingError) as caught:
        own.unload(3)
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(ServingError):
        own.load(99)


def test_history_tells_what_happened_when_asked(own):
    own.label("production", 3)
    kinds = [event.kind for event in own.history(10).events]
    assert kinds[0] == "label"
    assert "load" in kinds
    assert len(own.history(1)) == 1


def test_configuration_is_served_when_a_file_is_given(own, kernel_home, models_folder):
    listed = [{"name": "other", "basePath": str(models_folder / "unbatched"), "modelPlatform": "tensorflow"}]
    (kernel_home / "models.config").write_text(json.dumps({"modelConfigList": {"config": listed}}))
    own.config(kernel_home / "models.config")
    assert [model.name for model in own.models] == ["other"]
    np.testing.assert_array_equal(own.query("other", {"x": [1.0, 2.0, 3.0]}), [2.0, 3.0, 4.0])


def test_file_is_told_and_nothing_changes_when_its_configuration_is_refused(own, kernel_home):
    before = [model.name for model in own.models]
    file = kernel_home / "typo.config"
    file.write_text(
        'model_config_list { config { name: "t" base_path: "/no/such" model_platform: "tensorflow" } }'
    )
    with pytest.raises(ServingError) as caught:
        own.config(file)
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.hint.startswith(f"In {file}. See line 1, config[0].")
    assert [model.name for model in own.models] == before


def test_rollback_refuses_when_a_configuration_came_between(own, kernel_home, models_folder):
    own.label("production", 3)
    text = (
        f'model_config_list {{ config {{ name: "version" base_path: "{models_folder / "version"}"'
        ' model_platform: "tensorflow" } }'
    )
    (kernel_home / "models.config").write_text(text)
    own.config(kernel_home / "models.config")
    with pytest.raises(ServingError) as caught:
        own.rollback()
    assert "there is no step back" in caught.value.message


def test_log_is_there_when_asked_for(own):
    assert isinstance(own.logs(5), str)
    written = []

    def write(text):
        written.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.follow_logs(5, write)
    assert len(written) == 1
