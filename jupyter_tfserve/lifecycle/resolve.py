"""What a person's path means: a model, one version of a model, or a folder of models. Blocking."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jupyter_tfserve.errors import Code, ServingError, invalid_argument, not_found
from jupyter_tfserve.lifecycle.config import ModelConfig, local_path
from jupyter_tfserve.lifecycle.policy import Specific
from jupyter_tfserve.lifecycle.roots import check_folder
from jupyter_tfserve.lifecycle.source import holds_model, version_of

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
DEFAULT_NAME: Final = "default"
MAX_NAMED: Final = 5
"""A message names at most so many folders."""


@dataclass(frozen=True, slots=True)
class ResolvedModels:
    """The models behind a path, ready for `ServerCore.open_models`, and what the person should know."""

    models: tuple[ModelConfig, ...]
    notes: tuple[str, ...] = ()


def resolve_base_path(
    path: str, name: str | None = None, create: bool = False, roots: Sequence[str] = ()
) -> ResolvedModels:
    """The models that `path` holds; `name` replaces the folder's name when it is one model.

    NOT_FOUND, naming the path as it was given, if nothing is there (`create` makes an empty model folder
    instead) or if no model is in it; INVALID_ARGUMENT if the name cannot be a model's; PERMISSION_DENIED, before
    anything is looked at, if the folder lies outside of `roots` (none: anywhere).
    """
    folder = _folder_of(path, create, roots)
    children = _folders_in(folder, path)
    if holds_model(folder):
        return _one_version(folder, name)
    if any(version_of(child.name) is not None for child in children):
        return ResolvedModels((_model(folder, name),))
    models = [child for child in children if _is_model_folder(child)]
    if models:
        return _several(models, name)
    if not any(folder.iterdir()):
        note = f"{path} holds no version yet: the first one that is saved there will be served."
        return ResolvedModels((_model(folder, name),), (note,))
    raise not_found(
        f"No SavedModel found in {path}",
        hint="Give a folder with numbered versions (my_model/1/saved_model.pb), or save a model there.",
    )


def _folder_of(path: str, create: bool, roots: Sequence[str]) -> Path:
    """The absolute folder; symbolic links are kept, since what they point at may change."""
    if not path or "\0" in path:
        raise invalid_argument("The path of a model must not be empty or hold a NUL")
    folder = Path(os.path.abspath(os.path.expanduser(local_path(path))))
    try:
        str(folder).encode()
        check_folder(str(folder), roots, path)
        if create:
            folder.mkdir(parents=True, exist_ok=True)
    except UnicodeEncodeError:
        raise invalid_argument("The path of a model must be valid UTF-8") from None
    except OSError as error:
        raise _unusable(path, error) from None
    if folder.is_file():
        hint = f"Give the folder that holds {folder.name}."
        if folder.suffix in (".keras", ".h5", ".hdf5"):
            hint = "Export it as a SavedModel first: model.export('my_model/1')."
        raise not_found(f"{path} is a file, not the folder of a model", hint=hint)
    if not folder.exists():
        raise not_found(f"There is no folder {path}", hint="Check the spelling, or save a model there first.")
    return folder


def _folders_in(folder: Path, path: str) -> list[Path]:
    """The visible folders below `folder` by name; unfinished ones (`.tmp` in the name) are not there."""
    try:
        return sorted(
            child
            for child in folder.iterdir()
            if not child.name.startswith(".") and ".tmp" not in child.name and child.is_dir()
        )
    except OSError as error:
        raise _unusable(path, error) from None


def _is_model_folder(folder: Path) -> bool:
    """Whether a child is a version without a number, or holds a version: a folder of years is no model."""
    try:
        if holds_model(folder):
            return True
        return any(version_of(c.name) is not None and holds_model(c) for c in folder.iterdir())
    except OSError:
        return False  # a child that cannot be read is not one of the models


def _one_version(folder: Path, name: str | None) -> ResolvedModels:
    version = version_of(folder.name)
    if version is None:
        model = _model(folder, name, single_version=1)
        note = f"{folder.name} is a model without a version number: it is served as version 1."
        return ResolvedModels((model,), (note,))
    parent = folder.parent
    config = _model(parent, name)
    pinned = ModelConfig(config.name, config.base_path, policy=Specific((version,)))
    note = f"{folder.name} is one version of {config.name}: only this version is served."
    return ResolvedModels((pinned,), (note,))


def _several(folders: Iterable[Path], name: str | None) -> ResolvedModels:
    folders = tuple(folders)
    if name is not None and len(folders) > 1:
        found = ", ".join(folder.name for folder in folders)
        raise invalid_argument(
            f"A name was given for {len(folders)} models: {found}", hint="Give the folder of one of them."
        )
    models: list[ModelConfig] = []
    notes: list[str] = []
    for folder in folders:
        chosen = name if name is not None else folder.name
        if MODEL_NAME.fullmatch(chosen) is None:
            notes.append(f"{folder.name} is left out: its name cannot be a model's name.")
            continue
        is_single = holds_model(folder)
        models.append(_model(folder, name, single_version=1 if is_single else None))
        if is_single:
            notes.append(f"{folder.name} is a model without a version number: it is served as version 1.")
    if not models:
        names = ", ".join(folder.name for folder in folders[:MAX_NAMED])
        raise invalid_argument(
            f"None of these folders has a name that a model can have: {names}",
            hint="Rename one, or serve it alone under another name.",
        )
    return ResolvedModels(tuple(models), tuple(notes))


def _model(folder: Path, name: str | None, single_version: int | None = None) -> ModelConfig:
    chosen = name if name is not None else (folder.name or DEFAULT_NAME)
    if MODEL_NAME.fullmatch(chosen) is None:
        raise invalid_argument(
            f"{chosen} cannot be the name of a model",
            hint="Letters, digits, '_', '.' and '-', at most 128; give another name.",
        )
    return ModelConfig(chosen, str(folder), single_version=single_version)


def _unusable(path: str, error: OSError) -> ServingError:
    reason = error.strerror or type(error).__name__
    return ServingError(Code.FAILED_PRECONDITION, f"The folder {path} cannot be used: {reason}")
