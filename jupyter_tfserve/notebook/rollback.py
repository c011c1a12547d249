"""Undoes the last change of a label or a policy, if it is still in force."""

from __future__ import annotations

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.events import LabelUndo, Undo
from jupyter_tfserve.notebook.label_steps import next_step
from jupyter_tfserve.notebook.placement import choose_model


def apply_undo(client: ControlClient, undo: Undo) -> None:
    """Things are as before the change. FAILED_PRECONDITION if they changed in another way since."""
    state = client.state()
    model = choose_model(state, undo.model)
    _check_in_force(model, undo)
    if not isinstance(undo, LabelUndo):
        client.set_policy(model.name, undo.policy)
        client.refresh(model.name)
    elif undo.version is None:
        client.remove_label(model.name, undo.label)
    else:
        try:
            client.set_label(model.name, undo.label, undo.version)
        except ServingError as error:
            if error.code is not Code.FAILED_PRECONDITION:
                raise
            raise ServingError(error.code, error.message, next_step(state, model, undo.version)) from error


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
