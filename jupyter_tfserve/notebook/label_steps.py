"""The next step when a label cannot name a version, or names one that is about to go. Pure but for `is_dir`."""

from __future__ import annotations

from pathlib import Path

from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.notebook.placement import describe_policy


def next_step(state: State, model: ModelState, version: int) -> str:
    """What to do before `version` can be labelled."""
    known = next((item for item in model.versions if item.version == version), None)
    if known is not None and known.state in ("START", "LOADING"):
        return f"Version {version} is still loading: `%tfserve status` shows where it is."
    if known is not None and known.error_code not in ("OK", "CANCELLED"):
        return f"Version {version} does not load: `%tfserve status` shows why."
    if (Path(model.base_path) / str(version)).is_dir():
        policy = describe_policy(model.policy)
        return f"Version {version} is not served (versions: {policy}). Serve it: `{serve_all(state, model)}`."
    served = ", ".join(str(item.version) for item in reversed(model.versions) if item.state == "AVAILABLE")
    return f"There is no version {version}. Versions that are up: {served or 'none'}."


def lost_labels(state: State, model: ModelState) -> tuple[str, ...]:
    """A note for each label whose version the policy no longer serves, with the step that brings it back."""
    kept = _kept_versions(model)
    if kept is None:
        return ()
    policy = describe_policy(model.policy)
    return tuple(
        f"Label {label} names version {version}, which is no longer served (versions: {policy}). "
        f"Bring it back with `{serve_all(state, model)}`."
        for label, version in sorted(model.labels.items())
        if version not in kept
    )


def _kept_versions(model: ModelState) -> set[int] | None:
    """The versions that stay under the policy `latest n`; None under one that lets none go by itself."""
    if "latest" not in model.policy:
        return None
    # By the policy, not by the states: what is about to unload may still be up.
    alive = sorted(item.version for item in model.versions if item.state != "END")
    return set(alive[-max(model.policy["latest"].get("num_versions", 1), 1) :])


def serve_all(state: State, model: ModelState) -> str:
    """The line that serves every version of the model."""
    return "%tfserve versions all" + (f" --model {model.name}" if len(state.models) > 1 else "")
