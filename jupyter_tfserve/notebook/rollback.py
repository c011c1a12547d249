"""Undoes the last change of a label or a policy, if it is still in force."""

from __future__ import annotations

from typing import Final

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.events import LabelUndo, Undo, describe_undo
from jupyter_tfserve.notebook.label_steps import next_step
from jupyter_tfserve.notebook.placement import choose_model
from jupyter_tfserve.notebook.progress import Say, silent
from jupyter_tfserve.notebook.waiting import await_load

LOAD_TIMEOUT_S: Final = 280.0
"""Less than the engine holds a version for a label."""


def apply_undo(client: ControlClient, undo: Undo, say: Say = silent) -> str:
    """Things are as before the change; the words for it. FAILED_PRECONDITION if they changed in another way since.

    A version that is not loaded is loaded first; the label leaves the other one when it is up.
    """
    model = choose_model(client.state(), undo.model)
    _check_in_force(model, undo)
    done = describe_undo(undo)
    if not isinstance(undo, LabelUndo):
        client.set_policy(model.name, undo.policy)
        client.refresh(model.name)
    elif undo.version is None:
        client.remove_label(model.name, undo.label)
    else:
        is_up = any(item.version == undo.version and item.state == "AVAILABLE" for item in model.versions)
        if not is_up:
            _load(client, model, undo.label, undo.version, say)
        client.set_label(model.name, undo.label, undo.version)
        done += "" if is_up else f"; version {undo.version} was loaded for it"
    return done


def _load(client: ControlClient, model: ModelState, label: str, version: int, say: Say) -> None:
    """The version is up, whatever the policy says, and stays so until the label names it."""
    if not client.load(model.name, version, hold=True):
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Version {version} of {model.name} is not served, and a configuration file's model keeps no version "
            "for its label.",
            f"{next_step(client.state(), model, version)} Then `%tfserve label {label}={version}`.",
        )
    await_load(client, model, version, LOAD_TIMEOUT_S, say)


def _check_in_force(model: ModelState, undo: Undo) -> None:
    if isinstance(undo, LabelUndo):
        is_same = model.labels.get(undo.label) == undo.now
        what = f"Label {undo.label}"
    else:
        is_same = model.policy == undo.now
        what = "The choice of versions"
    if not is_same:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"{what} of {model.name} was changed since by a configuration; there is no step back.",
            "`%tfserve history` shows what happened.",
        )
