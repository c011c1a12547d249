"""Who could be asked instead, where a question named nobody: models, labels, versions, the nearest first. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.types import ModelSpec

MAX_NAMES = 10


def whom_to_ask(state: State, spec: ModelSpec) -> str | None:
    """What of `spec` there is none of, and what there is; None when all of it is there."""
    model = next((known for known in state.models if known.name == spec.name), None)
    if model is None:
        names = [known.name for known in state.models]
        if not names:
            return "No model is served. Serve a folder: `%tfserve start PATH`."
        return f"There is no model {spec.name!r}; there are {listed(nearest_first(spec.name, names))}."
    if spec.label is not None and spec.label not in model.labels:
        return _no_such_label(model, spec.label)
    wanted = spec.version if spec.label is None else model.labels[spec.label]
    return _not_served(model, wanted, spec.label)


def nearest_first(name: str, names: Iterable[str]) -> list[str]:
    """The names: those that begin with `name`, then those that look most like it, then the alphabet's order."""

    if not name:
        return sorted(names)

    def distance(other: str) -> tuple[bool, float]:
        likeness = difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()
        return not other.lower().startswith(name.lower()), -likeness

    return sorted(sorted(names), key=distance)


def _no_such_label(model: ModelState, label: str) -> str:
    if not model.labels:
        return f"Model {model.name} has no labels. Set one: `%tfserve label {label}=VERSION --model {model.name}`."
    labels = [f"{name} ({model.labels[name]})" for name in nearest_first(label, model.labels)]
    return f"Model {model.name} has no label {label!r}; it has {listed(labels)}."


def _not_served(model: ModelState, wanted: int | None, label: str | None) -> str | None:
    up = [version.version for version in model.versions if version.state == "AVAILABLE"]
    if wanted in up or (wanted is None and up):
        return None
    served = f"it serves {listed(map(str, up))}" if up else "none of its versions is up"
    if wanted is None:
        return f"Model {model.name} cannot be asked: {served}. `%tfserve status` says why."
    if label is not None:
        return f"Label {label} of {model.name} names version {wanted}, which is not served; {served}."
    return f"Model {model.name} does not serve version {wanted}; {served}."


def listed(names: Iterable[str]) -> str:
    """The first ten, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
    return ", ".join(every[:MAX_NAMES]) + more
