"""Every edit of the desired state, and what is remembered of closed models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.desired import MAX_LIMITED, MAX_REMEMBERED, DesiredState
from jupyter_tfserve.lifecycle.keys import MAX_KEYS, PredictKey
from jupyter_tfserve.lifecycle.limits import FlowLimits
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific

M = ModelConfig("m", "/models/m")
LABELLED = ModelConfig("m", "/models/m", All(), {"stable": 1})


def test_opened_model_is_added_once():
    state = DesiredState().with_opened([M]).with_opened([M])
    assert state.models == (replace(M, keeps_labelled=True),)


def test_opened_model_stays_as_it_is_when_it_is_served_already():
    assert DesiredState((LABELLED,)).with_opened([M]).models == (LABELLED,)


@pytest.mark.parametrize("other", [ModelConfig("m", "/b/m"), ModelConfig("m", "/models/m", single_version=1)])
def test_opened_model_is_refused_when_its_name_means_another_place(other):
    with pytest.raises(ServingError) as caught:
        DesiredState((M,)).with_opened([other])
    assert caught.value.code is Code.ALREADY_EXISTS


def test_closed_model_gets_labels_and_policy_back_when_it_is_opened_at_the_same_path():
    closed = DesiredState((LABELLED,)).without_model("m")
    assert (closed.models, closed.remembered) == ((), (LABELLED,))
    reopened = closed.with_opened([M])
    assert (reopened.models, reopened.remembered) == ((replace(LABELLED, keeps_labelled=True),), ())


def test_closed_model_gets_nothing_back_when_it_is_opened_elsewhere():
    closed = DesiredState((LABELLED,)).without_model("m")
    elsewhere = ModelConfig("m", "/b/m")
    assert closed.with_opened([elsewhere]).models == (replace(elsewhere, keeps_labelled=True),)


def test_policy_that_is_asked_for_wins_over_the_remembered_one():
    closed = DesiredState((LABELLED,)).without_model("m")
    pinned = ModelConfig("m", "/models/m", Specific((1,)))
    (model,) = closed.with_opened([pinned]).models
    assert (model.policy, model.labels) == (Specific((1,)), {"stable": 1})


def test_closed_model_replaces_what_was_remembered_of_it():
    before = DesiredState((M,), remembered=(LABELLED,))
    assert before.without_model("m").remembered == ()


def test_closed_state_remembers_every_model():
    other = ModelConfig("n", "/n", Latest(2))
    assert DesiredState((LABELLED, other, ModelConfig("plain", "/p"))).closed() == DesiredState(
        (), (LABELLED, other)
    )


def test_memory_is_bounded_and_forgets_the_oldest():
    state = DesiredState()
    for number in range(MAX_REMEMBERED + 1):
        state = state.with_opened([ModelConfig(f"m{number}", "/m", All())]).without_model(f"m{number}")
    names = [model.name for model in state.remembered]
    assert (len(names), names[0], names[-1]) == (MAX_REMEMBERED, "m1", f"m{MAX_REMEMBERED}")


def test_config_replaces_all_models_and_keeps_that_a_path_is_one_version():
    single = ModelConfig("m", "/models/m", single_version=1)
    state = DesiredState((single, ModelConfig("n", "/n"))).with_config([M])
    assert state.models == (single,)
    moved = ModelConfig("m", "/elsewhere")
    assert state.with_config([moved]).models == (moved,)


@pytest.mark.parametrize(
    "edit",
    [
        lambda state: state.without_model("x"),
        lambda state: state.with_labels("x", {}),
        lambda state: state.with_policy("x", All()),
        lambda state: state.model("x"),
    ],
)
def test_edit_raises_not_found_when_the_model_is_not_served(edit):
    with pytest.raises(ServingError) as caught:
        edit(DesiredState((M,)))
    assert caught.value.code is Code.NOT_FOUND


def test_edits_change_one_model_and_not_the_old_state():
    other = ModelConfig("n", "/n")
    before = DesiredState((M, other))
    after = before.with_labels("m", {"a": 1}).with_policy("m", All())
    assert after.models == (ModelConfig("m", "/models/m", All(), {"a": 1}), other)
    assert before.models == (M, other)


def key(key_id, expires=None):
    return PredictKey(key_id, "f" * 64, ("m",), expires=expires)


def test_key_is_added_and_expired_ones_go():
    state = DesiredState().with_key(key("a", expires=10), 5).with_key(key("b"), 9).with_key(key("c"), 10)
    assert [known.id for known in state.keys] == ["b", "c"]
    assert [known.id for known in state.without_key("b").keys] == ["c"]


def test_key_that_is_not_there_cannot_be_revoked():
    with pytest.raises(ServingError) as caught:
        DesiredState().without_key("a")
    assert caught.value.code is Code.NOT_FOUND


def test_keys_and_limits_are_bounded():
    full = DesiredState((M,), keys=tuple(key(str(number)) for number in range(MAX_KEYS)))
    with pytest.raises(ServingError) as caught:
        full.with_key(key("one more"), 0)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    full = DesiredState((M,), limits={str(number): FlowLimits(1) for number in range(MAX_LIMITED)})
    with pytest.raises(ServingError) as caught:
        full.with_limits("m", FlowLimits(1))
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_limits_are_set_and_taken_away_and_outlive_the_model():
    state = DesiredState((M,)).with_limits("m", FlowLimits(5))
    assert state.limits == {"m": FlowLimits(5)}
    assert state.without_model("m").with_opened([M]).limits == {"m": FlowLimits(5)}
    assert state.with_config([]).closed().limits == {"m": FlowLimits(5)}
    assert state.with_limits("m", FlowLimits()).limits == {}
    with pytest.raises(ServingError) as caught:
        state.with_limits("other", FlowLimits(5))
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("wrong", [-1, 65, 1.0, "2", True, []])
def test_replicas_are_refused_when_they_are_no_count(wrong):
    state = DesiredState(models=(ModelConfig("m", "/m"),))
    with pytest.raises(ServingError, match="'replicas' must be a whole number from 0"):
        state.with_replicas("m", wrong)


def test_replicas_are_kept_and_taken_back_when_set():
    state = DesiredState(models=(ModelConfig("m", "/m"),))
    assert state.with_replicas("m", 0).replicas == {"m": 0}
    assert state.with_replicas("m", 3).with_replicas("m", None) == state
    with pytest.raises(ServingError, match="Could not find model none"):
        state.with_replicas("none", 1)
