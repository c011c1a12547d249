"""Settings of a model's batching: what a caller may write, what they change, and that they survive a restart."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.batching_settings import BatchingSettings, ModelBatching, batching_from_json
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.desired import DesiredState
from jupyter_tfserve.lifecycle.store import StateStore
from jupyter_tfserve.options import BatchOptions

DOCUMENT = {
    "max_batch_size": 32,
    "target_p99_ms": 7.5,
    "signatures": {"embed": {"batch_timeout_micros": 500, "allowed_batch_sizes": [4, 8]}},
}


def test_settings_are_what_was_written_when_read_back():
    batching = batching_from_json(DOCUMENT)
    assert batching.to_json() == DOCUMENT
    assert batching_from_json(batching.to_json()) == batching
    assert batching_from_json({}).is_unchanged
    assert batching_from_json({"signatures": {"embed": {}}}).is_unchanged


def test_signatures_settings_go_before_the_models_which_go_before_the_servers():
    model, by_signature = batching_from_json(DOCUMENT).applied(BatchOptions(max_enqueued_rows=99))
    assert (model.max_batch_size, model.target_p99_ms, model.batch_timeout_micros) == (32, 7.5, 0)
    embed = by_signature["embed"]
    assert (embed.max_batch_size, embed.allowed_batch_sizes, embed.target_p99_ms) == (8, (4, 8), 7.5)
    assert embed.max_enqueued_rows == model.max_enqueued_rows == 99


@pytest.mark.parametrize(
    "document",
    [
        {"max_batch_size": 0},
        {"max_batch_size": True},
        {"max_batch_size": 1.5},
        {"max_batch_size": "8"},
        {"max_batch_size": 2**31},
        {"batch_timeout_micros": -1},
        {"batch_timeout_micros": 60_000_001},
        {"target_p99_ms": -1},
        {"target_p99_ms": float("nan")},
        {"target_p99_ms": float("inf")},
        {"target_p99_ms": "20ms"},
        {"allowed_batch_sizes": 8},
        {"allowed_batch_sizes": [8, 4]},
        {"allowed_batch_sizes": [0]},
        {"allowed_batch_sizes": ["8"]},
        {"no_such": 1},
        {"signatures": []},
        {"signatures": {"a": 1}},
        {"signatures": {"a": {"signatures": {}}}},
        {"signatures": {str(n): {} for n in range(257)}},
    ],
)
def test_settings_that_cannot_be_are_refused(document):
    with pytest.raises(ServingError) as caught:
        batching_from_json(document)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_sizes_that_do_not_go_together_are_refused():
    settings = BatchingSettings(max_batch_size=16, allowed_batch_sizes=(4, 8))
    with pytest.raises(ServingError, match="allowed_batch_sizes"):
        settings.applied(BatchOptions())


def test_state_keeps_settings_on_disk_and_for_models_that_are_closed(tmp_path):
    state = DesiredState((ModelConfig("m", "/m"),)).with_batching("m", batching_from_json(DOCUMENT))
    StateStore(tmp_path).save(state.without_model("m"))
    loaded = StateStore(tmp_path).load().state
    assert loaded.batching == {"m": batching_from_json(DOCUMENT)}
    assert state.with_batching("m", ModelBatching()).batching == {}


def test_settings_of_an_unknown_model_are_refused():
    with pytest.raises(ServingError) as caught:
        DesiredState().with_batching("m", ModelBatching())
    assert caught.value.code is Code.NOT_FOUND


def test_goal_is_refused_when_the_server_batches_by_its_parameters() -> None:
    with pytest.raises(ServingError, match="no effect with --enable_batching") as error:
        BatchingSettings(target_p99_ms=20).applied(BatchOptions(strict=True))
    assert error.value.code is Code.INVALID_ARGUMENT
    assert BatchingSettings(target_p99_ms=0).applied(BatchOptions(strict=True)).strict
