"""The server's history as a person reads it, and what it takes to undo the last change. Pure."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, TypeAlias

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.placement import describe_policy

_LABEL_SET: Final = re.compile(r"(?P<label>.*) -> (?P<now>\d+)(?: \(was (?P<was>\d+)\))?", re.DOTALL)
_LABEL_GONE: Final = re.compile(r"(?P<label>.*) removed \(was (?P<was>\d+)\)", re.DOTALL)
DEFAULT_POLICY: Final[Mapping[str, Any]] = {"latest": {"num_versions": 1}}
MAX_EVENTS: Final = 1000
"""What the engine gives at most."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `time` in seconds since the epoch."""

    time: float
    kind: str
    model: str
    version: int | None
    detail: str

    def __str__(self) -> str:
        """One line, in local time."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.time))
        version = "" if self.version is None else f" {self.version}"
        return f"{when}  {self.kind:<7} {self.model}{version}  {self.words}".rstrip()

    @property
    def words(self) -> str:
        """The detail as a person says it: a policy is JSON in the engine's history."""
        if self.kind != "policy":
            return self.detail
        try:
            return f"versions: {describe_policy(json.loads(self.detail))}"
        except (ValueError, TypeError, AttributeError):
            return self.detail


@dataclass(frozen=True, slots=True)
class Events:
    """What happened, the newest first."""

    events: tuple[Event, ...]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.events)

    def __str__(self) -> str:
        """A line for each."""
        return "\n".join(str(event) for event in self.events) or "Nothing has happened yet."

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        left = "style='text-align:left'"
        rows = "".join(
            "<tr>" + "".join(f"<td {left}>{escape(text)}</td>" for text in _cells(event)) + "</tr>"
            for event in self.events
        )
        heads = "".join(f"<th {left}>{name}</th>" for name in ("time", "what", "model", "version", "detail"))
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return {"text/plain": str(self), "text/html": table if self.events else f"<p>{self}</p>"}


def parse_events(documents: Iterable[Mapping[str, Any]]) -> Events:
    """The control API's events as values."""
    return Events(
        tuple(
            Event(
                document["time"],
                document["kind"],
                document["model"] or "",
                document["version"],
                document["detail"],
            )
            for document in documents
        )
    )


@dataclass(frozen=True, slots=True)
class LabelUndo:
    """Point `label` back to `version`; None takes it away. `now` is where the history says that it points."""

    model: str
    label: str
    version: int | None
    now: int | None


@dataclass(frozen=True, slots=True)
class PolicyUndo:
    """Choose the versions as before."""

    model: str
    policy: Mapping[str, Any]
    now: Mapping[str, Any]


Undo: TypeAlias = "LabelUndo | PolicyUndo"


def find_undo(events: Sequence[Event], model: str | None = None) -> Undo:
    """What undoes the last change of a label or a policy; `events` has the newest first.

    FAILED_PRECONDITION when there is no such change, or what was before it is not known.
    """
    for index, event in enumerate(events):
        if event.kind in ("label", "policy") and model in (None, event.model):
            return _label_undo(event) if event.kind == "label" else _policy_undo(event, events[index + 1 :])
    of_model = "" if model is None else f" of {model}"
    raise ServingError(Code.FAILED_PRECONDITION, f"No label or policy{of_model} has been changed yet.")


def describe_undo(undo: Undo) -> str:
    """What was done, in the words of the other commands."""
    if isinstance(undo, PolicyUndo):
        return f"{undo.model} versions: {describe_policy(undo.policy)} (was {describe_policy(undo.now)})"
    if undo.version is None:
        return f"{undo.label} of {undo.model} is gone (was {undo.now})"
    was = "" if undo.now is None else f" (was {undo.now})"
    return f"{undo.label} of {undo.model} -> {undo.version}{was}"


def _label_undo(event: Event) -> LabelUndo:
    found = _LABEL_SET.fullmatch(event.detail)
    if found is not None:
        was = found["was"]
        return LabelUndo(event.model, found["label"], None if was is None else int(was), int(found["now"]))
    found = _LABEL_GONE.fullmatch(event.detail)
    if found is None:
        raise _unknown_before(event)
    return LabelUndo(event.model, found["label"], int(found["was"]), None)


def _policy_undo(event: Event, older: Sequence[Event]) -> PolicyUndo:
    now = json.loads(event.detail)
    for before in older:
        if before.model == event.model and before.kind == "policy":
            return PolicyUndo(event.model, json.loads(before.detail), now)
        if before.kind == "config" and not before.model:
            # A configuration file may have set any policy: the history does not say which.
            raise _unknown_before(event)
    opened = any(before.kind == "config" and before.model == event.model for before in older)
    if not opened or len(older) >= MAX_EVENTS - 1:
        raise _unknown_before(event)
    return PolicyUndo(event.model, DEFAULT_POLICY, now)


def _unknown_before(event: Event) -> ServingError:
    return ServingError(
        Code.FAILED_PRECONDITION,
        f"The history does not tell what was before the last change of {event.model}: {event.detail}.",
        "Set it with `%tfserve label NAME=VERSION` or `%tfserve versions …`.",
    )


def _cells(event: Event) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
    return when, event.kind, event.model, "" if event.version is None else str(event.version), event.words
