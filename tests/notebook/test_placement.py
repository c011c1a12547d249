"""Which model, which folder, which versions a command means."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tfserve.engine.client_state import EngineState, ModelState, State
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.placement import choose_model, describe_policy, parse_policy, place_version

ENGINE = EngineState(1, "1", 1, 0.0, None, None, True)


def state(**bases):
    return State(ENGINE, tuple(ModelState(name, base, {}, {}, ()) for name, base in bases.items()))


def test_only_model_is_meant_when_none_is_named():
    assert choose_model(state(m="/x/m"), None).name == "m"


@pytest.mark.parametrize(
    ("models", "name", "code", "hint"),
    [
        ({"a": "/a", "b": "/b"}, None, Code.INVALID_ARGUMENT, "Served: a, b."),
        ({}, None, Code.INVALID_ARGUMENT, "No model is served yet."),
        ({"a": "/a"}, "c", Code.NOT_FOUND, "Served: a."),
        ({"ab": "/1", "prices": "/2"}, "pirces", Code.NOT_FOUND, "Served: prices, ab."),
        (
            {f"m{n}": f"/{n}" for n in range(12)},
            None,
            Code.INVALID_ARGUMENT,
            "Served: m0, m1, m10, m11, m2, m3, m4, m5, m6, m7 and 2 more.",
        ),
    ],
)
def test_models_are_listed_when_none_can_be_meant(models, name, code, hint):
    with pytest.raises(ServingError) as caught:
        choose_model(state(**models), name)
    assert (caught.value.code, caught.value.hint) == (code, hint)


@pytest.mark.parametrize(
    ("models", "root", "name", "place"),
    [
        ({"m": "/x/m"}, None, None, ("/x/m", "m")),
        ({"m": "/x/m"}, "/x", "m", ("/x/m", "m")),
        ({"m": "/x/m"}, None, "new", ("/x/new", "new")),
        ({}, "/x", "new", ("/x/new", "new")),
        ({"m": "/x/m"}, "/x/m", "new", ("/x/new", "new")),
        ({"m": "/x/m", "n": "/y/n"}, "/z", "new", ("/z/new", "new")),
    ],
)
def test_version_goes_to_its_models_folder_when_saved(models, root, name, place):
    found = place_version(state(**models), None if root is None else Path(root), name)
    assert found == (Path(place[0]), place[1])


@pytest.mark.parametrize("models", [{}, {"m": "/x/m", "n": "/y/n"}])
def test_no_folder_is_guessed_when_none_is_open(models):
    with pytest.raises(ServingError) as caught:
        place_version(state(**models), None, "new")
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert "%tfserve start" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a:b", "a\\b", "a@b"])
def test_name_is_refused_when_it_cannot_be_a_models(name):
    with pytest.raises(ServingError) as caught:
        place_version(state(m="/x/m"), Path("/x"), name)
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("kind", "numbers", "policy", "words"),
    [
        ("all", [], {"all": {}}, "all"),
        ("latest", [], {"latest": {"num_versions": 1}}, "latest 1"),
        ("latest", [2], {"latest": {"num_versions": 2}}, "latest 2"),
        ("specific", [1, 2], {"specific": {"versions": [1, 2]}}, "specific 1 2"),
    ],
)
def test_policy_is_read_and_said_in_the_same_words_when_valid(kind, numbers, policy, words):
    assert parse_policy(kind, numbers) == policy
    assert describe_policy(policy) == words


@pytest.mark.parametrize(
    ("kind", "numbers"), [("all", [1]), ("latest", [0]), ("latest", [1, 2]), ("specific", []), ("some", [])]
)
def test_policy_is_refused_when_it_means_nothing(kind, numbers):
    with pytest.raises(ServingError) as caught:
        parse_policy(kind, numbers)
    assert caught.value.hint == "Write all, latest N, or specific 1 2."


def test_policy_is_the_default_one_when_the_engine_names_none():
    assert describe_policy({}) == "latest 1"
