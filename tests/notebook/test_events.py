"""The history for a person, and what undoes its last change."""

from __future__ import annotations

import json

import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.events import (
    MAX_EVENTS,
    Event,
    Events,
    LabelUndo,
    PolicyUndo,
    describe_undo,
    find_undo,
    parse_events,
)

LATEST, ALL = {"latest": {"num_versions": 1}}, {"all": {}}


def event(kind, detail, model="m", version=None):
    return Event(1.0, kind, model, version, detail)


@pytest.mark.parametrize(
    ("detail", "undo", "said"),
    [
        ("a -> 2 (was 1)", LabelUndo("m", "a", 1, 2), "a of m -> 1 (was 2)"),
        ("a -> 2", LabelUndo("m", "a", None, 2), "a of m is gone (was 2)"),
        ("a removed (was 3)", LabelUndo("m", "a", 3, None), "a of m -> 3"),
        ("a -> b -> 2 (was 1)", LabelUndo("m", "a -> b", 1, 2), "a -> b of m -> 1 (was 2)"),
    ],
)
def test_label_goes_back_when_its_change_was_the_last(detail, undo, said):
    newest_first = [event("load", "x"), event("label", detail), event("label", "other -> 9")]
    assert find_undo(newest_first) == undo
    assert describe_undo(undo) == said


def test_policy_goes_back_to_the_one_before_when_it_was_the_last():
    events = [event("policy", json.dumps(ALL)), event("load", ""), event("policy", json.dumps(LATEST))]
    undo = find_undo(events)
    assert undo == PolicyUndo("m", LATEST, ALL)
    assert describe_undo(undo) == "m versions: latest 1 (was all)"


def test_policy_goes_back_to_the_default_when_it_was_the_first():
    events = [event("policy", json.dumps(ALL)), event("config", "open /models/m")]
    assert find_undo(events) == PolicyUndo("m", LATEST, ALL)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event("load", "x")],
        [event("policy", json.dumps(ALL))],
        [event("policy", json.dumps(ALL)), event("config", "serve m", ""), event("config", "open /m")],
        [event("policy", json.dumps(ALL)), *[event("config", "open /m")] * (MAX_EVENTS - 1)],
        [event("label", "in another form")],
        [event("label", "a -> 1", "other")],
    ],
)
def test_nothing_is_undone_when_the_history_does_not_tell(events):
    with pytest.raises(ServingError):
        find_undo(events, "m")


def test_other_models_are_left_alone_when_one_is_named():
    events = [event("label", "a -> 1", "other"), event("label", "b -> 2 (was 1)")]
    assert find_undo(events, "m").label == "b"
    assert find_undo(events).label == "a"


@pytest.mark.parametrize(
    ("detail", "words"), [(json.dumps(ALL), "versions: all"), ("no JSON", "no JSON"), ("[]", "[]")]
)
def test_policy_is_in_the_words_of_the_commands_when_shown(detail, words):
    assert str(event("policy", detail)).endswith(f"policy  m  {words}")
    assert f">{words}<" in Events((event("policy", detail),))._repr_mimebundle_()["text/html"]


def test_table_holds_every_event_as_text_when_shown():
    documents = [
        {"time": 0.0, "kind": "load", "model": "<m>", "version": 3, "detail": "<b>"},
        {"time": 1.0, "kind": "config", "model": None, "version": None, "detail": "serve"},
    ]
    events = parse_events(documents)
    shown = events._repr_mimebundle_()
    assert len(events) == 2
    assert "load    <m> 3  <b>" in shown["text/plain"]
    assert "<b>" not in shown["text/html"]
    assert "&lt;m&gt;" in shown["text/html"]
    assert Events(())._repr_mimebundle_()["text/plain"] == "Nothing has happened yet."
