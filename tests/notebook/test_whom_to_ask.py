"""Hints for questions that name nobody: what there is instead, the nearest first."""

from __future__ import annotations

import pytest

from jupyter_tfserve.engine.client_state import EngineState, ModelState, State, VersionState
from jupyter_tfserve.notebook.whom_to_ask import nearest_first, whom_to_ask
from jupyter_tfserve.types import ModelSpec

ENGINE = EngineState(7, "1.0", 1, 0.0, None, None, True)


VERSIONS = (VersionState(2, "AVAILABLE"), VersionState(1, "END", "UNKNOWN", "x"))


def model(name, versions=VERSIONS, **labels):
    return ModelState(name, "/m", {}, labels, tuple(versions))


STATE = State(ENGINE, (model("keras"), model("digits", production=2, old=1), model("empty", ())))


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        (ModelSpec("digit"), "There is no model 'digit'; there are digits, empty, keras."),
        (ModelSpec("digits", 1), "Model digits does not serve version 1; it serves 2."),
        (
            ModelSpec("digits", label="prod"),
            "Model digits has no label 'prod'; it has production (2), old (1).",
        ),
        (
            ModelSpec("keras", label="new"),
            "Model keras has no labels. Set one: `%tfserve label new=VERSION --model keras`.",
        ),
        (
            ModelSpec("digits", label="old"),
            "Label old of digits names version 1, which is not served; it serves 2.",
        ),
        (
            ModelSpec("empty"),
            "Model empty cannot be asked: none of its versions is up. `%tfserve status` says why.",
        ),
        (ModelSpec("digits"), None),
        (ModelSpec("digits", 2), None),
        (ModelSpec("digits", label="production"), None),
    ],
    ids=str,
)
def test_hint_says_what_there_is_instead(spec, hint):
    assert whom_to_ask(STATE, spec) == hint


def test_hint_is_the_command_that_serves_when_there_are_no_models():
    assert whom_to_ask(State(ENGINE, ()), ModelSpec("m")) == (
        "No model is served. Serve a folder: `%tfserve start PATH`."
    )


def test_names_are_cut_when_there_are_many():
    many = State(ENGINE, tuple(model(f"m{number:02}") for number in range(14)))
    hint = whom_to_ask(many, ModelSpec("m13x"))
    assert hint.startswith("There is no model 'm13x'; there are m13, ")
    assert hint.endswith(" and 4 more.")


def test_order_is_the_alphabets_when_nothing_is_near():
    assert nearest_first("x", ["c", "a", "b"]) == ["a", "b", "c"]
