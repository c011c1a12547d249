"""Whether a model's folder has the versions that a person chose. Looks at folders; blocking.

A configuration file may name versions that are still to come, as upstream's may: it is not asked here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.source import versions_by_name


def check_in_folder(model: ModelConfig, versions: Iterable[int], live: Collection[int] = ()) -> None:
    """Passes if the folder has all of them, or they are `live` still: NOT_FOUND otherwise, with those that are there."""
    there = _versions_in(model)
    missing = sorted(set(versions) - there - set(live))
    if missing:
        word = "version" if len(missing) == 1 else "versions"
        raise ServingError(
            Code.NOT_FOUND,
            f"Model {model.name} has no {word} {_listed(missing)} in its folder.",
            f"There: {_listed(sorted(there)) or 'none'}.",
        )


def _versions_in(model: ModelConfig) -> set[int]:
    if model.single_version is not None:
        return {model.single_version}
    try:
        names = [entry.name for entry in model.folder.iterdir() if entry.is_dir()]
    except OSError:  # the next look at the folder says what is wrong with it
        names = []
    return set(versions_by_name(names, model.policy))


def _listed(versions: Iterable[int]) -> str:
    return ", ".join(map(str, versions))
