"""The checks of a list of models, in upstream's words, and policies as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig, policy_from_json, policy_to_json, validate_models
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific


@pytest.mark.parametrize("base_path", ["/models/m", "/", "gs://bucket/m", "file://host/m"])
def test_models_pass_when_their_paths_are_absolute(base_path):
    model = ModelConfig("m", base_path)
    validate_models([model], {"m": model})


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            [ModelConfig("m", "/a"), ModelConfig("n", "relative"), ModelConfig("m", "/b")],
            "Illegal to list model m multiple times in config list",
        ),
        (
            [ModelConfig("m", "/a"), ModelConfig("n", "relative")],
            "Expected model n to have an absolute path or URI; got base_path()=relative",
        ),
        (
            [ModelConfig("m", "")],
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
        (
            [ModelConfig("m", "file:relative")],
            "Expected model m to have an absolute path or URI; got base_path()=file:relative",
        ),
        (
            [ModelConfig("new", "/a", platform="torch")],
            "Model new requests unsupported platform torch",
        ),
        (
            [ModelConfig("m", "/a", platform="torch")],
            "Illegal to change a model's platform. For model m platform was tensorflow "
            "and new platform requested is torch",
        ),
    ],
)
def test_models_are_refused_in_upstream_words(models, message):
    with pytest.raises(ServingError) as caught:
        validate_models(models, {"m": ModelConfig("m", "/a")})
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize("policy", [Latest(), Latest(3), All(), Specific(()), Specific((3, 2**63 - 1))])
def test_policy_is_the_same_after_json(policy):
    assert policy_from_json(policy_to_json(policy)) == policy


@pytest.mark.parametrize(("document", "policy"), [({"latest": {}}, Latest()), ({"all": {}}, All())])
def test_policy_may_leave_out_its_defaults(document, policy):
    assert policy_from_json(document) == policy


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        "all",
        {"newest": {}},
        {"latest": {}, "all": {}},
        {"latest": 1},
        {"latest": {"num_versions": "1"}},
        {"latest": {"num_versions": -1}},
        {"latest": {"num_versions": 2**32}},
        {"latest": {"num_versions": True}},
        {"latest": {"number": 1}},
        {"all": {"x": 1}},
        {"specific": {}},
        {"specific": {"versions": 1}},
        {"specific": {"versions": ["1"]}},
        {"specific": {"versions": [1.5]}},
        {"specific": {"versions": [2**63]}},
        {"specific": {"versions": [1], "x": 1}},
    ],
)
def test_policy_is_refused_when_it_is_none(document):
    with pytest.raises(ServingError) as caught:
        policy_from_json(document)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_file_uri_is_an_absolute_base_path_and_names_its_folder():
    model = ModelConfig("m", "file:///models/m")
    validate_models([model], {})
    assert model.folder == Path("/models/m")
    assert ModelConfig("m", "/models/m").folder == Path("/models/m")


@pytest.mark.parametrize(
    "text", ["a\nb", "a\0", "\x1b[2J", "\u202egnp.exe", "a\u2028b", "x" * 1025, "\x7f", "\x85"]
)
def test_names_and_labels_that_no_person_could_type_are_refused(text):
    for model in (ModelConfig(text, "/m"), ModelConfig("m", "/m", labels={text: 1})):
        with pytest.raises(ServingError) as caught:
            validate_models([model], {})
        assert caught.value.code is Code.INVALID_ARGUMENT
        assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", ["my model", "größe", "模型", "a:b", "<img onerror=x>", "x" * 1024])
def test_names_and_labels_of_config_files_are_otherwise_upstreams_affair(text):
    validate_models([ModelConfig(text, "/m", labels={text: 1})], {})
