"""Where in a config file the model stands that it was refused for."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import validate_models
from jupyter_tfserve.lifecycle.config_places import entry_lines, refused_entry, with_place
from jupyter_tfserve.lifecycle.config_proto import parse_config
from jupyter_tfserve.lifecycle.labels import validate_labels

TEXT = """# a { comment
model_config_list {
  config { name: "a{" base_path: "/a" model_platform: "tensorflow"
    version_labels { key: "x" value: 1 } }
  config: <
    name: 'b' base_path: "/b" model_platform: "tensorflow" >
  config: [ { name: "c" base_path: "/c" model_platform: "tensorflow" },
    { name: "b" base_path: "d" model_platform: "tensorflow" } ]
}
"""
JSON = """{"model_config_list": {"config": [
  {"name": "a{", "base_path": "/a", "model_platform": "tensorflow", "version_labels": {"x": 1}},
  {"name": "b", "base_path": "/b", "model_platform": "tensorflow"},

  {"name": "b", "base_path": "d", "model_platform": "tensorflow"}]}}
"""


@pytest.mark.parametrize(("text", "lines"), [(TEXT, (3, 5, 7, 8)), (JSON, (2, 3, 5)), ("", ()), ("}}", ())])
def test_entries_begin_at_their_lines_in_either_form(text, lines):
    assert entry_lines(text) == lines


@pytest.mark.parametrize(("text", "place"), [(TEXT, "line 8, config[3]"), (JSON, "line 5, config[2]")])
def test_second_occurrence_is_told_when_a_model_is_listed_twice(text, place):
    models = parse_config(text)
    with pytest.raises(ServingError) as caught:
        validate_models(models, {})
    index = refused_entry(models, {}, caught.value)
    told = with_place(caught.value, text, index, "models.config")
    assert told.message == "Illegal to list model b multiple times in config list"
    assert told.hint == f"See models.config, {place}."


def test_entry_and_next_step_are_told_when_a_label_is_refused():
    models = parse_config(JSON)[:2]
    with pytest.raises(ServingError) as caught:
        validate_labels("a{", {}, {"x": 1}, (2,))
    told = with_place(caught.value, JSON, refused_entry(models, {}, caught.value))
    assert told.hint == "See line 2, config[0]. Load version 1 first, then set the label."


def test_no_place_is_told_when_the_error_is_about_no_single_model():
    error = ServingError(Code.UNKNOWN, "1 model(s) did not become available")
    assert refused_entry(parse_config(JSON)[:2], {}, error) is None
    assert with_place(error, JSON, None) is error


def test_line_is_told_when_an_entry_has_no_platform():
    with pytest.raises(ServingError) as caught:
        parse_config(JSON.replace(', "model_platform": "tensorflow"}]', "}]"))
    assert caught.value.hint == "See line 5, config[2]."
