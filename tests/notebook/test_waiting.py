"""Waiting for a version: until it is up, or until the attempt that is made for it has failed."""

from __future__ import annotations

import pytest

from jupyter_tfserve.engine.client_state import EngineState, ModelState, State, VersionState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.waiting import LoadFailed, await_load, with_failures

LOADING, UP = VersionState(2, "LOADING"), VersionState(2, "AVAILABLE")
AGAIN = VersionState(2, "LOADING", last_error="Attempt 1 of 6 to load failed: no graph")


def model(version):
    return ModelState("m", "/m", {"all": {}}, {}, (version,))


def state(version):
    engine = EngineState(7, "1.0", 1, 0.0, "http://127.0.0.1:8501", "127.0.0.1:8500", True)
    return State(engine, (model(version),))


class Client:
    """An engine whose version is `steps` in turn, each for one look; an earlier load of it has failed."""

    def __init__(self, *steps):
        self._steps = list(steps)

    def wait(self, name, version, timeout_s):
        if self._steps[0] is not UP:
            raise ServingError(Code.DEADLINE_EXCEEDED, "not yet")
        return self._steps[0]

    def state(self):
        return state(self._steps.pop(0))

    def history(self, limit):
        return [{"time": 1.0, "kind": "error", "model": "m", "version": 2, "detail": "of an earlier load"}]


def test_version_carries_its_error_only_while_it_is_tried_again():
    (failed,) = with_failures(state(AGAIN)).models[0].versions
    assert (failed.error_code, failed.error_message) == ("UNKNOWN", AGAIN.last_error)
    assert with_failures(state(LOADING)) == state(LOADING)
    assert with_failures(state(UP)) == state(UP)


def test_load_is_awaited_when_only_an_earlier_one_has_failed():
    assert await_load(Client(LOADING, LOADING, UP), model(LOADING), 2, 60) is UP


def test_load_fails_at_once_when_its_attempt_has_failed():
    with pytest.raises(LoadFailed, match="no graph") as caught:
        await_load(Client(LOADING, AGAIN, UP), model(LOADING), 2, 60)
    assert caught.value.hint == "Its files are in /m/2."
