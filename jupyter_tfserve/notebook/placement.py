"""Which model and which folder a command means, and the words for the versions to serve. Looks at folders only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.notebook.whom_to_ask import listed, nearest_first

NEW_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
"""Names that are a folder's, a URL's and a shell's plain word at once. A served model may have another."""


def choose_model(state: State, name: str | None) -> ModelState:
    """The model of that name; without one, the only model that is served."""
    if name is None and len(state.models) == 1:
        return state.models[0]
    for model in state.models:
        if model.name == name:
            return model
    raise _unknown_model(state, name)


def check_spelling(folder: Path, written: str) -> None:
    """Passes unless `folder` is missing and its neighbour has nearly its name: NOT_FOUND then."""
    if folder.exists() or not folder.parent.is_dir():
        return
    neighbours = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()]
    near = difflib.get_close_matches(folder.name, neighbours, n=1, cutoff=0.8)
    if near:
        raise ServingError(
            Code.NOT_FOUND,
            f"There is no folder {written}.",
            f"Did you mean {near[0]}? If {folder.name} is to be a new folder, make it first.",
        )


def place_version(state: State, root: Path | None, name: str | None) -> tuple[Path, str]:
    """Folder and name of the model that a new version goes to: a served one, or a new one beside the others.

    `root` is the folder that the user opened, if it is known.
    """
    if name is None or any(model.name == name for model in state.models):
        model = choose_model(state, name)
        return Path(model.base_path), model.name
    if NEW_NAME.fullmatch(name) is None:
        raise invalid_argument(f"{name!r} cannot be a model's name.", "Use letters, digits, - and _.")
    return _models_folder(state, root) / name, name


def parse_policy(kind: str, numbers: Sequence[int]) -> dict[str, Any]:
    """The policy that `all`, `latest N` or `specific 1 2` means, as the control API takes it."""
    if kind == "all" and not numbers:
        return {"all": {}}
    if kind == "latest" and len(numbers) <= 1 and all(number > 0 for number in numbers):
        return {"latest": {"num_versions": numbers[0] if numbers else 1}}
    if kind == "specific" and numbers and all(number >= 0 for number in numbers):
        return {"specific": {"versions": list(numbers)}}
    words = " ".join([kind, *(str(number) for number in numbers)])
    raise invalid_argument(f"{words!r} are not versions to serve.", "Write all, latest N, or specific 1 2.")


def policy_with(model: ModelState, version: int) -> dict[str, Any]:
    """The policy that serves what is served now and `version`."""
    return {"specific": {"versions": sorted({*_served(model), version})}}


def policy_without(model: ModelState, version: int) -> dict[str, Any]:
    """The policy that serves what is served now but for `version`. FAILED_PRECONDITION while a label names it."""
    labels = sorted(label for label, number in model.labels.items() if number == version)
    if labels:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Version {version} of {model.name} is still {' and '.join(labels)}.",
            f"Point the label elsewhere first: `%tfserve label {labels[0]}=VERSION`.",
        )
    if version not in _served(model):
        served = ", ".join(map(str, sorted(_served(model)))) or "none"
        raise ServingError(
            Code.NOT_FOUND,
            f"Version {version} of {model.name} is not served.",
            f"Its served versions: {served}.",
        )
    return {"specific": {"versions": sorted(_served(model) - {version})}}


def _served(model: ModelState) -> set[int]:
    return {item.version for item in model.versions if item.state in ("START", "LOADING", "AVAILABLE")}


def describe_policy(policy: Mapping[str, Any]) -> str:
    """`latest 1`, `all` or `specific 1 2`: the words that `%tfserve versions` takes."""
    if "all" in policy:
        return "all"
    if "specific" in policy:
        return " ".join(["specific", *(str(number) for number in policy["specific"].get("versions", ()))])
    return f"latest {policy.get('latest', {}).get('num_versions', 1)}"


def _models_folder(state: State, root: Path | None) -> Path:
    bases = [Path(model.base_path) for model in state.models]
    if root is not None:
        # Opened as a model's own folder: its neighbours are models as well.
        return root.parent if root in bases else root
    if len({base.parent for base in bases}) == 1:
        return bases[0].parent
    raise ServingError(
        Code.FAILED_PRECONDITION,
        "No folder for new models is open.",
        "Open one with `%tfserve start ./saved_models`.",
    )


def _unknown_model(state: State, name: str | None) -> ServingError:
    known = nearest_first(name or "", (model.name for model in state.models))
    served = f"Served: {listed(known)}." if known else "No model is served yet."
    if name is None:
        return invalid_argument("Which model? Name it with --model (when saving: --name).", served)
    return ServingError(Code.NOT_FOUND, f"No model {name!r} is served.", served)
