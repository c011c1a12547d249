"""The panel's buttons as calls of the engine. Blocking, for a thread of the panel's own; every failure has its hint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.events import MAX_EVENTS, find_undo
from jupyter_tfserve.notebook.handle import ServerHandle
from jupyter_tfserve.notebook.label_steps import next_step
from jupyter_tfserve.notebook.panel.plans import LabelMove
from jupyter_tfserve.notebook.placement import choose_model, describe_policy, policy_with, policy_without
from jupyter_tfserve.notebook.progress import Say
from jupyter_tfserve.notebook.rollback import apply_undo
from jupyter_tfserve.notebook.waiting import await_version, settle

LOAD_TIMEOUT_S: Final = 300.0
SETTLE_TIMEOUT_S: Final = 60.0


def move_label(server: ServerHandle, move: LabelMove) -> str:
    """The label is where the person saw that it will be. FAILED_PRECONDITION if somebody moved it meanwhile."""
    state = server.state()
    model = choose_model(state, move.model)
    found = model.labels.get(move.label)
    if found != move.now:
        where = "is gone" if found is None else f"names version {found}"
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Label {move.label} was changed meanwhile: it {where} now.",
            "Look at what would change from there, then apply again.",
        )
    if move.version is None:
        server.client.remove_label(model.name, move.label)
        return f"{move}."
    try:
        server.client.set_label(model.name, move.label, move.version)
    except ServingError as error:
        if error.code is not Code.FAILED_PRECONDITION:
            raise
        raise ServingError(error.code, error.message, next_step(state, model, move.version)) from error
    return f"{move}."


def load_version(server: ServerHandle, model: str, version: int, say: Say) -> str:
    """One more version is up."""
    known = server.model(model)
    _choose(server, known, policy_with(known, version))
    await_version(server.client, server.model(model), version, LOAD_TIMEOUT_S, say)
    return f"Version {version} is AVAILABLE."


def unload_version(server: ServerHandle, model: str, version: int, say: Say) -> str:
    """One version less is up."""
    known = server.model(model)
    return choose_versions(server, model, policy_without(known, version), say)


def choose_versions(server: ServerHandle, model: str, policy: Mapping[str, Any], say: Say) -> str:
    """The versions are chosen and have settled."""
    known = server.model(model)
    _choose(server, known, policy)
    is_settled = settle(server.client, [model], SETTLE_TIMEOUT_S, say)
    rest = "" if is_settled else " Some versions are still loading."
    return f"Versions: {describe_policy(policy)}.{rest}"


def roll_back(server: ServerHandle, model: str, say: Say) -> str:
    """The model's last change is undone."""
    undo = find_undo(server.history(MAX_EVENTS).events, model)
    done = apply_undo(server.client, undo, say)
    settle(server.client, [model], SETTLE_TIMEOUT_S, say)
    return f"Rolled back: {done}."


def _choose(server: ServerHandle, model: ModelState, policy: Mapping[str, Any]) -> None:
    server.client.set_policy(model.name, policy)
    server.client.refresh(model.name)
