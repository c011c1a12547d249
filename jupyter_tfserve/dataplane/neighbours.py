"""What a request may have meant that names a model, a label or a version which is not served: the nearest first. Pure.

Asked only after the look-up has failed. Names of models that the caller's key is not for are never told.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Sequence
from typing import Any, Final

from jupyter_tfserve.dataplane.auth import Caller
from jupyter_tfserve.errors import Code
from jupyter_tfserve.lifecycle.serving_map import ServingMap
from jupyter_tfserve.lifecycle.states import VersionStatus
from jupyter_tfserve.types import ModelSpec

MOST_NAMED: Final = 5
MOST_COMPARED: Final = 64
"""Names of about the same length; comparing takes some microseconds for each."""
LONGEST_NAME: Final = 128


def neighbours_hint(
    serving: ServingMap[Any], spec: ModelSpec, caller: Caller | None, known: Sequence[VersionStatus] = ()
) -> str | None:
    """What there is instead; None if what `spec` names is served, or nothing may be told. `known`: the model's versions,
    of one whose name is right but of which none serves.
    """
    routes = serving.models.get(spec.name)
    if known and (routes is None or not routes.versions):
        return _none_serves(spec.name, known) if caller is None or caller.key.covers(spec.name) else None
    if routes is None:
        names = [name for name in serving.models if caller is None or caller.key.covers(name)]
        return _listed("The models", nearest(spec.name, names)) if spec.name else None
    if caller is not None and not caller.key.covers(spec.name):
        return None
    if spec.label is not None and spec.label not in routes.labels:
        near = nearest(spec.label, routes.labels)
        return _listed("Its labels", near) or f"{spec.name} has no labels; ask for a version, or for none."
    version = routes.labels.get(spec.label) if spec.label is not None else spec.version
    if version is None or version in routes.versions:
        return None
    versions = heapq.nsmallest(MOST_NAMED + 1, routes.versions, key=lambda each: (abs(each - version), -each))
    return _listed("The versions that serve", [str(each) for each in versions])


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """At most one more of the names than are told, those like `name` first."""
    name = name[:LONGEST_NAME]
    compared = heapq.nsmallest(MOST_COMPARED, names, key=lambda each: (abs(len(each) - len(name)), each))
    near = difflib.get_close_matches(name, compared, n=MOST_NAMED)
    return (near + sorted(each for each in compared if each not in near))[: MOST_NAMED + 1]


def _none_serves(name: str, known: Sequence[VersionStatus]) -> str:
    """The codes alone: the words of an error may be for the server's own people."""
    states = [
        f"{each.version} is {each.state.name}" + (f" ({each.code.name})" if each.code is not Code.OK else "")
        for each in known[:MOST_NAMED]
    ]
    more = ", …" if len(known) > MOST_NAMED else ""
    return (
        f"No version of {name} serves: {', '.join(states)}{more}. Its status says more: GET /v1/models/{name}"
    )


def _listed(what: str, names: list[str]) -> str | None:
    if not names:
        return None
    more = ", …" if len(names) > MOST_NAMED else ""
    return f"{what}: {', '.join(names[:MOST_NAMED])}{more}"
