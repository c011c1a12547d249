"""ModelServerConfig in and out: text format, JSON, the message; refusals name the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.protos import ModelServerConfig
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.config_proto import (
    json_from_models,
    message_from_models,
    models_from_json,
    models_from_message,
    models_from_reload,
    parse_config,
)
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific

TEXT = """
# a comment
model_config_list {
  config {
    name: "half_plus_two"  base_path: "/models/half_plus_two"  model_platform: "tensorflow"
    model_version_policy { specific { versions: 1 versions: 123 } }
    version_labels { key: "stable" value: 123 }
    version_labels { key: "canary" value: 1 }
  }
  config { name: "old" base_path: "/models/old" model_type: TENSORFLOW }
}
"""
JSON = """{"model_config_list": {"config": [
  {"name": "half_plus_two", "base_path": "/models/half_plus_two", "model_platform": "tensorflow",
   "model_version_policy": {"specific": {"versions": [1, "123"]}},
   "version_labels": {"stable": 123, "canary": "1"}},
  {"name": "old", "basePath": "/models/old", "model_type": "TENSORFLOW"}
]}}"""
MODELS = (
    ModelConfig(
        "half_plus_two",
        "/models/half_plus_two",
        Specific((1, 123)),
        {"stable": 123, "canary": 1},
    ),
    ModelConfig("old", "/models/old"),
)


@pytest.mark.parametrize("text", [TEXT, JSON, "\n " + JSON])
def test_config_is_the_same_in_text_format_and_json(text):
    assert parse_config(text) == MODELS


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_config_says_nothing_when_it_is_empty(text):
    assert parse_config(text) is None


@pytest.mark.parametrize("text", ["model_config_list {}", '{"model_config_list": {}}'])
def test_config_lists_no_model_when_the_list_is_empty(text):
    assert parse_config(text) == ()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", Latest()),
        ("model_version_policy {}", Latest()),
        ("model_version_policy { latest {} }", Latest()),
        ("model_version_policy { latest { num_versions: 0 } }", Latest()),
        ("model_version_policy { latest { num_versions: 3 } }", Latest(3)),
        ("model_version_policy { all {} }", All()),
        ("model_version_policy { specific {} }", Specific(())),
    ],
)
def test_policy_is_upstream_default_when_it_is_unset(policy, expected):
    fields = f'name: "m" base_path: "/m" model_platform: "tensorflow" {policy}'
    (model,) = parse_config(f"model_config_list {{ config {{ {fields} }} }}")
    assert model.policy == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            "",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is m",
        ),
        (
            'model_type: TENSORFLOW model_platform: "tensorflow"',
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform, model name is m",
        ),
        ("model_type: OTHER", "ModelServerConfig::model_type choice 2 not supported."),
    ],
)
def test_model_is_refused_in_upstream_words(fields, message):
    with pytest.raises(ServingError) as caught:
        parse_config(f'model_config_list {{ config {{ name: "m" base_path: "/m" {fields} }} }}')
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (
            'model_config_list {\n config {\n  nome: "m"\n }\n}',
            "text-format tensorflow.serving.ModelServerConfig: 3:",
        ),
        ("model_config_list {", "text-format tensorflow.serving.ModelServerConfig: 1:"),
        ('{"model_config_list":\n {"config": [,]}}', "line 2 column"),
        (
            '{"model_config_list": {"config": [\n{"nome": "m"}]}}',
            "line 2, model_config_list.config[0].nome: ",
        ),
        (
            '{"model_config_list": {"config": [{},\n\n{"name": 7}]}}',
            "line 3, model_config_list.config[1].name: ",
        ),
        ('{"model_config_list": {"config":\n{"name": "m"}}}', "line 1, model_config_list.config: "),
        (
            '{"model_config_list": {"config": [{"model_version_policy": {"specific": {"versions": [1,\n"b"]}}}]}}',
            "line 2, model_config_list.config[0].model_version_policy.specific.versions[1]: ",
        ),
        (
            '{"model_config_list": {"config": [{\n"model_version_policy": {"latest": {}, "all": {}}}]}}',
            "line 2, model_config_list.config[0].model_version_policy: ",
        ),
        ('{"model_config_list": {"config": [{"name": "m",\n "name": "n"}]}}', "line 2: duplicate key name"),
        (
            '{"model_config_list": 3}',
            "JSON tensorflow.serving.ModelServerConfig: line 1, model_config_list: ",
        ),
    ],
)
def test_text_is_refused_with_its_place_when_it_does_not_parse(text, place):
    with pytest.raises(ServingError) as caught:
        parse_config(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert place in caught.value.message
    assert "\n" not in caught.value.message


def test_custom_config_is_refused():
    message = ModelServerConfig()
    message.custom_model_config.SetInParent()
    with pytest.raises(ServingError) as caught:
        models_from_message(message)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert caught.value.message.startswith("Cannot transition to requested config. It is only legal")


def test_reload_takes_a_list_and_nothing_else():
    assert models_from_reload(message_from_models(MODELS)) == MODELS
    assert models_from_reload(message_from_models(())) == ()
    with pytest.raises(ServingError) as caught:
        models_from_reload(ModelServerConfig())
    assert caught.value.message == (
        "ServerModelConfig type not supported by HandleReloadConfigRequest. "
        "Only ModelConfigList is currently supported"
    )


versions = st.integers(-(2**63), 2**63 - 1)
configs = st.builds(
    ModelConfig,
    name=st.text(),
    base_path=st.text(),
    policy=st.one_of(
        st.just(All()),
        st.builds(Latest, st.integers(1, 2**32 - 1)),
        st.builds(Specific, st.lists(versions, max_size=4).map(tuple)),
    ),
    labels=st.dictionaries(st.text(), versions, max_size=3),
    platform=st.text(min_size=1),
)


@given(st.lists(configs, max_size=3).map(tuple))
def test_models_are_the_same_after_message_and_json(models):
    assert models_from_message(message_from_models(models)) == models
    assert models_from_json(json_from_models(models)) == models
