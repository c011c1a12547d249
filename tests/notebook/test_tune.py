"""Tuning: which settings are recommended, and that a live server's settings are what they were when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.notebook import tune as tune_module
from jupyter_tfserve.notebook.bench import Load
from jupyter_tfserve.notebook.progress import silent
from jupyter_tfserve.notebook.tune import Trial, TuneWish, Tuning, candidates, tune


def trial(name: str, throughput: float, p99_ms: float, carried: float = 100.0, errors: int = 0) -> Trial:
    closed = Load(64, None, 1.0, int(throughput), 0, np.array([1.0]))
    opened = Load(64, 100.0, 1.0, int(carried), errors, np.array([p99_ms]))
    return Trial(name, {"max_batch_size": len(name)}, closed, opened)


@pytest.mark.parametrize(
    ("trials", "goal", "best", "is_met"),
    [
        ([trial("a", 100, 5), trial("b", 200, 9), trial("c", 300, 30)], 10.0, "b", True),
        ([trial("a", 198, 5), trial("b", 200, 9)], 10.0, "a", True),
        ([trial("a", 100, 50), trial("b", 200, 40)], 10.0, "b", False),
        ([trial("a", 100, 50), trial("b", 200, 5, carried=60)], None, "a", True),
        ([trial("a", 100, 50), trial("b", 200, 5, errors=1)], None, "a", True),
        ([trial("a", 300, 5, errors=9), trial("b", 200, 40)], 10.0, "b", False),
    ],
)
def test_most_throughput_within_the_goal_is_best(trials, goal, best, is_met):
    tuning = Tuning("m", 100.0, goal, tuple(trials))
    assert (tuning.best.name, tuning.is_met) == (best, is_met)
    text, html = str(tuning), tuning._repr_mimebundle_()["text/html"]
    assert best in text.splitlines()[-1]
    assert ("Nothing kept" in text) is not is_met
    assert "<img" in html


def test_candidates_hold_the_goal_only_when_there_is_one():
    assert any("target_p99_ms" in settings for _, settings in candidates(20.0))
    assert not any("target_p99_ms" in settings for _, settings in candidates(None))
    assert all(settings.get("batch_timeout_micros", 0) <= 100 for _, settings in candidates(1.0))


def test_settings_are_what_they_were_when_tuning_is_over(server):
    server.batching("version", max_batch_size=77)
    try:
        tuning = server.tune("version/1", p99_ms=1000.0, rate=20.0, seconds=2)
        assert server.batching("version").settings == {"max_batch_size": 77}
        assert {trial.name for trial in tuning.trials} == {name for name, _ in candidates(1000.0)}
        assert all(trial.closed.answers > 0 for trial in tuning.trials)
        assert not tuning.is_applied
    finally:
        server.batching("version", max_batch_size=None)


class Control:
    """An engine's batching without an engine; `refused` are sizes that its own parameters do not allow."""

    def __init__(self, settings: dict[str, Any], refused: tuple[int, ...] = ()) -> None:
        self.settings = settings
        self.refused = refused

    def batching(self, model: str) -> dict[str, Any]:
        return {"settings": self.settings}

    def set_batching(self, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        if settings.get("max_batch_size") in self.refused:
            raise invalid_argument("no")
        self.settings = dict(settings)
        return self.batching(model)


@pytest.fixture
def loaded(monkeypatch):
    """A server that answers a hundred a second within a millisecond, whatever its settings."""

    @contextlib.contextmanager
    def process(url: str, body: bytes):
        yield lambda phase: Load(64, phase.get("rate"), 1.0, 100, 0, np.array([1.0]))

    monkeypatch.setattr(tune_module, "load_process", process)


REQUEST = ("http://localhost/v1/models/m:predict", b"{}")


def test_best_settings_are_kept_when_asked_for(loaded):
    control = Control({"max_batch_size": 5, "signatures": {"s": {"max_batch_size": 2}}})
    tuning = tune(control, "m", REQUEST, TuneWish(apply=True), silent)
    assert tuning.is_applied
    # All are as good: the simplest, which is no setting of the model; those of signatures are none of its business.
    assert control.settings == tuning.best.settings == {"signatures": {"s": {"max_batch_size": 2}}}
    assert tuning.rate == 70


def test_settings_that_the_server_does_not_allow_are_passed_over(loaded):
    control = Control({}, refused=(8, 128))
    tuning = tune(control, "m", REQUEST, TuneWish(), silent)
    assert [trial.settings for trial in tuning.trials] == [{}, {"max_batch_size": 32}]
    assert control.settings == {}


def test_settings_are_what_they_were_when_tuning_is_interrupted(server):
    def interrupt(text: str, fraction: float | None) -> None:
        if fraction:
            raise KeyboardInterrupt

    before = {"target_p99_ms": 33.0}
    server.client.set_batching("version", before)
    try:
        request = (f"{server.rest_url}/v1/models/version/versions/1:predict", b'{"instances": [1.0]}')
        with pytest.raises(KeyboardInterrupt):
            tune(server.client, "version", request, TuneWish(seconds=2, apply=True), interrupt)
        assert server.batching("version").settings == before
    finally:
        server.client.set_batching("version", {})


def test_refusal_is_told_and_changes_nothing(server):
    request = (f"{server.rest_url}/v1/models/version/versions/1:predict", b'{"instances": "no"}')
    with pytest.raises(ServingError, match="does not answer this request"):
        tune(server.client, "version", request, TuneWish(seconds=2), silent)
    assert server.batching("version").settings == {}
