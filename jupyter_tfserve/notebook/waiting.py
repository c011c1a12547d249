"""Waiting until versions are up, without sitting out retries when the reason is known already."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_state import ModelState, State, VersionState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.progress import Say, silent

STEP_S: Final = 1.0
POLL_S: Final = 0.1
COMING: Final = ("START", "LOADING")
MOVING: Final = (*COMING, "UNLOADING")
"""A version that is wanted again while it unloads comes back only after its end."""


class LoadFailed(ServingError):
    """The version's own error: its files cannot be served as they are."""


def await_version(
    client: ControlClient, model: ModelState, version: int, timeout_s: float, say: Say = silent
) -> VersionState:
    """The version once it is AVAILABLE. `LoadFailed` with its own error as soon as a load has failed."""
    specific = model.policy.get("specific")
    if specific is not None and version not in specific.get("versions", ()):
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Version {version} of {model.name} is not among the chosen versions.",
            f"Serve it too with `%tfserve versions all --model {model.name}`.",
        )
    return await_load(client, model, version, timeout_s, say)


def await_load(
    client: ControlClient, model: ModelState, version: int, timeout_s: float, say: Say = silent
) -> VersionState:
    """As `await_version`, for a version that is wanted whatever the policy says."""
    began = time.monotonic()
    deadline = began + timeout_s
    while True:
        waited_s = time.monotonic() - began
        say(f"Loading version {version} of {model.name} ({waited_s:.0f} s)", None)
        reached = _wait_a_step(client, model.name, version, deadline)
        if reached is not None and reached.state == "AVAILABLE":
            return reached
        if reached is not None and (reached.state == "END" or reached.error_code != "OK"):
            raise _load_error(model, reached)


def settle(client: ControlClient, names: Iterable[str], timeout_s: float, say: Say = silent) -> bool:
    """Whether all versions of these models are up, gone or have failed; waited for at most `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    wanted = set(names)
    while True:
        state = with_failures(client.state())
        moving = _versions_in(MOVING, state, wanted)
        if not moving:
            # Files that were written this second are looked at once more before they count.
            unknown = [
                model.name for model in state.models if model.first_load_pending and model.name in wanted
            ]
            if not unknown or time.monotonic() > deadline:
                return not unknown
            say(f"Looking at the files of {unknown[0]}", None)
            time.sleep(POLL_S)
            continue
        say(_moving_text(moving), None)
        try:
            _wait_a_step(client, *moving[0], deadline)
        except ServingError as error:
            if error.code is not Code.DEADLINE_EXCEEDED:
                raise
            return False


def are_moving(state: State, names: Collection[str]) -> bool:
    """Whether versions of these models are on their way, or not looked at yet."""
    pending = any(model.first_load_pending for model in state.models if model.name in names)
    return pending or bool(_versions_in(MOVING, state, set(names)))


def _moving_text(moving: list[tuple[str, int]]) -> str:
    model, version = moving[0]
    others = f" and {len(moving) - 1} more" if len(moving) > 1 else ""
    return f"Waiting for version {version} of {model}{others}"


def _versions_in(states: tuple[str, ...], state: State, names: set[str]) -> list[tuple[str, int]]:
    """Model and version of those that are in such a state, and not between two attempts to load."""
    return [
        (model.name, version.version)
        for model in state.models
        if model.name in names
        for version in model.versions
        if version.state in states and version.error_code == "OK"
    ]


def _wait_a_step(client: ControlClient, model: str, version: int, deadline: float) -> VersionState | None:
    """Where the version is after a step; None when the engine does not know it yet."""
    step_s = min(STEP_S, deadline - time.monotonic())
    if step_s <= 0:
        raise ServingError(
            Code.DEADLINE_EXCEEDED,
            f"Version {version} of {model} is still not up.",
            "It goes on loading: `%tfserve status` shows where it is.",
        )
    try:
        return client.wait(model, version, step_s)
    except ServingError as error:
        if error.code is not Code.DEADLINE_EXCEEDED:
            raise
    return _find(with_failures(client.state()), model, version)


def with_failures(state: State) -> State:
    """The state, where a version that failed to load and will be tried again carries its last error.

    The engine tries a failed load again for minutes, as TensorFlow Serving does, and says LOADING meanwhile.
    """
    models = (
        replace(model, versions=tuple(_with_error(version) for version in model.versions))
        for model in state.models
    )
    return replace(state, models=tuple(models))


def _with_error(version: VersionState) -> VersionState:
    if version.state not in COMING or not version.last_error:
        return version
    return replace(version, error_code=Code.UNKNOWN.name, error_message=version.last_error)


def _find(state: State, model: str, version: int) -> VersionState | None:
    versions = (item for known in state.models if known.name == model for item in known.versions)
    return next((item for item in versions if item.version == version), None)


def _load_error(model: ModelState, reached: VersionState) -> ServingError:
    code = Code.__members__.get(reached.error_code, Code.UNKNOWN)
    if code in (Code.OK, Code.CANCELLED):
        return ServingError(
            Code.FAILED_PRECONDITION,
            f"Version {reached.version} of {model.name} is no longer wanted: it was unloaded.",
            "`%tfserve history` shows what came between.",
        )
    return LoadFailed(
        code,
        f"Version {reached.version} of {model.name} does not load: {reached.error_message}",
        f"Its files are in {Path(model.base_path) / str(reached.version)}.",
    )
