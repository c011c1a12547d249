"""What a panel says before a change is made, and what it refuses. Pure."""

from __future__ import annotations

import pytest

from jupyter_tfserve.notebook.events import Event
from jupyter_tfserve.notebook.panel.plans import (
    LabelMove,
    plan_load,
    plan_move,
    plan_policy,
    plan_rollback,
    plan_undo,
    plan_unload,
)
from tests.notebook.panel_cases import model_state, snapshot_of


def text(plan):
    assert plan.is_possible, plan
    return " ".join(plan.lines)


def move(version, now, label="production"):
    return LabelMove("prices", label, version, now)


MODEL = model_state({3: "AVAILABLE", 4: "AVAILABLE", 5: "LOADING"}, {"production": 3}, {"all": {}})
SNAPSHOT = snapshot_of(MODEL, rates={3: 41.2}, in_folder=(2, 3, 4, 5))


def test_move_tells_the_traffic_it_concerns_when_the_version_was_asked():
    said = text(plan_move(move(4, 3), MODEL, SNAPSHOT))
    assert said.startswith("labels/production: 3 → 4. Of the 41.2 requests/s that version 3 answered")
    assert "those that ask for production move" in said


def test_move_says_that_nobody_asked_when_nobody_did():
    quiet = snapshot_of(MODEL)
    assert "Version 3 answered no request in the last minute." in text(plan_move(move(4, 3), MODEL, quiet))


def test_new_label_and_one_that_is_taken_away_are_told_apart_when_planned():
    new = text(plan_move(move(4, None, "canary"), MODEL, SNAPSHOT))
    assert new == (
        "labels/canary: new → 4. Requests to /v1/models/prices/labels/canary get version 4; until now they fail."
    )
    gone = text(plan_move(move(None, 3), MODEL, SNAPSHOT))
    assert gone.startswith(
        "labels/production: 3 → gone. Requests to /v1/models/prices/labels/production fail"
    )
    assert "may fail" in gone


@pytest.mark.parametrize(
    ("planned", "refusal", "hint"),
    [
        (move(4, None, " "), "Type a name", "production"),
        (move(4, None, "a/b"), "'a/b' cannot be a version label.", "Letters, digits"),
        (move(4, None, ".."), "cannot be a version label", "Letters, digits"),
        (move(3, 3), "names version 3 already", ""),
        (move(None, None), "There is no label", ""),
        (move(5, 3), "Version 5 is LOADING", "still loading"),
        (move(9, 3), "Version 9 is not served", "There is no version 9"),
    ],
)
def test_move_is_refused_with_its_next_step_when_it_cannot_be_made(planned, refusal, hint):
    plan = plan_move(planned, MODEL, SNAPSHOT)
    assert not plan.is_possible
    assert refusal in plan.refusal
    assert hint in plan.hint


def test_move_warns_when_only_the_label_kept_the_version_loaded():
    latest = model_state({3: "AVAILABLE", 4: "AVAILABLE"}, {"production": 3}, {"latest": {"num_versions": 1}})
    said = text(plan_move(move(4, 3), latest, snapshot_of(latest)))
    assert "Nothing else keeps version 3 then (versions: latest 1): it unloads." in said
    both = model_state({3: "AVAILABLE", 4: "AVAILABLE"}, {"a": 3, "production": 3}, {"latest": {}})
    assert "Nothing else" not in text(plan_move(move(4, 3), both, snapshot_of(both)))
    assert "Nothing else" not in text(plan_move(move(4, 3), MODEL, SNAPSHOT))


def test_undo_is_the_way_back_while_the_label_stands_where_it_was_put():
    assert text(plan_undo(move(3, 4), MODEL, SNAPSHOT)).startswith("labels/production: 3 → 4.")
    assert "moved since" in plan_undo(move(4, 3), MODEL, SNAPSHOT).refusal
    assert "Nothing to undo" in plan_undo(None, MODEL, SNAPSHOT).refusal
    other = LabelMove("other", "production", 3, 4)
    assert "Nothing to undo" in plan_undo(other, MODEL, SNAPSHOT).refusal


def test_load_is_offered_for_what_lies_in_the_folder_and_is_not_served():
    assert text(plan_load(2, MODEL, SNAPSHOT)) == "Version 2 loads; the others stay (served: 2, 3, 4, 5)."
    assert "served already" in plan_load(4, MODEL, SNAPSHOT).refusal
    assert "no version 9 in its folder" in plan_load(9, MODEL, SNAPSHOT).refusal
    assert "no version to load" in plan_load(None, MODEL, SNAPSHOT).refusal


def test_unload_is_refused_for_a_labelled_version_and_for_the_last_one():
    assert text(plan_unload(4, MODEL, SNAPSHOT)).endswith("Served are then 3, 5.")
    labelled = plan_unload(3, MODEL, SNAPSHOT)
    assert "production" in labelled.refusal
    assert labelled.hint
    alone = model_state({1: "AVAILABLE"}, {}, {"all": {}})
    assert "only one" in plan_unload(1, alone, snapshot_of(alone)).refusal


def test_policy_names_what_loads_and_what_unloads_when_planned():
    said = text(plan_policy("specific", "2, 3", MODEL, SNAPSHOT))
    assert said.startswith("Versions: all → specific 2 3. Loads: 2.")
    assert "Version 4 unloads" in said
    assert "Version 3" not in said
    kept = text(plan_policy("latest", "1", MODEL, SNAPSHOT))
    assert "Version 3 keeps its label and stays" in kept
    assert plan_policy("specific", "3 7", MODEL, SNAPSHOT).refusal == "Not in the folder: 7."


@pytest.mark.parametrize(
    ("kind", "numbers", "refusal"),
    [
        ("all", "", "Nothing changes: `all` is the choice already."),
        ("latest", "x", "'x' is not a whole number."),
        ("latest", "1 2", "are not versions to serve"),
        ("specific", "", "are not versions to serve"),
        ("latest", "１", "is not a whole number"),
    ],
)
def test_policy_is_refused_when_its_numbers_make_no_sense(kind, numbers, refusal):
    assert refusal in plan_policy(kind, numbers, MODEL, SNAPSHOT).refusal


def test_long_lists_of_versions_are_cut_when_planned():
    many = model_state(dict.fromkeys(range(100), "AVAILABLE"), {}, {"all": {}})
    plan = plan_policy("latest", "1", many, snapshot_of(many, in_folder=tuple(range(100))))
    assert len(plan.lines) < 20
    assert plan.lines[-1] == "87 more unload."


def test_rollback_names_the_models_last_change_when_it_is_known():
    events = (
        Event(2.0, "label", "other", 1, "x -> 1"),
        Event(1.0, "label", "prices", 3, "production -> 3 (was 4)"),
    )
    assert text(plan_rollback(MODEL, events)) == "Roll back: production of prices -> 4 (was 3)."
    unloaded = (Event(1.0, "label", "prices", 3, "production -> 3 (was 1)"),)
    assert "Version 1 loads first." in text(plan_rollback(MODEL, unloaded))
    assert "has been changed yet" in plan_rollback(MODEL, ()).refusal
