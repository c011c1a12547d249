"""What a change would mean for callers: said before it is made, or refused with the reason and the next step. Pure
but for looking at folders through `label_steps`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.lifecycle.labels import check_label
from jupyter_tfserve.notebook.events import Event, LabelUndo, describe_undo, find_undo
from jupyter_tfserve.notebook.figure_view import show_rate
from jupyter_tfserve.notebook.label_steps import next_step
from jupyter_tfserve.notebook.panel.snapshot import Snapshot
from jupyter_tfserve.notebook.placement import describe_policy, parse_policy, policy_without
from jupyter_tfserve.types import parse_version

SERVED: Final = ("START", "LOADING", "AVAILABLE")
ARROW: Final = "→"
MAX_NUMBERS: Final = 12
"""A sentence names at most so many versions."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will change, a sentence each; or why it cannot (`refusal`) and what helps (`hint`)."""

    lines: tuple[str, ...] = ()
    refusal: str = ""
    hint: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether it may be carried out."""
        return bool(self.lines) and not self.refusal


@dataclass(frozen=True, slots=True)
class LabelMove:
    """A label from version `now` to `version`. None: the label is new, or is taken away."""

    model: str
    label: str
    version: int | None
    now: int | None

    def undone(self) -> LabelMove:
        """The way back."""
        return LabelMove(self.model, self.label, self.now, self.version)

    def __str__(self) -> str:
        """`labels/production: 3 → 4`."""
        before = "new" if self.now is None else self.now
        after = "gone" if self.version is None else self.version
        return f"labels/{self.label}: {before} {ARROW} {after}"


def plan_move(move: LabelMove, model: ModelState, snapshot: Snapshot) -> Plan:
    """What a label's move means for callers."""
    refused = _refused_move(move, model, snapshot.state)
    if refused is not None:
        return refused
    lines = [f"{move}."]
    if move.now is None:
        lines.append(f"Requests to {_address(move)} get version {move.version}; until now they fail.")
    elif move.version is None:
        lines.append(f"Requests to {_address(move)} fail from then on. {_moving(move, snapshot, 'may fail')}")
    else:
        lines.append(_moving(move, snapshot, "move"))
    lines.extend(_left_behind(move, model))
    return Plan(tuple(lines))


def plan_undo(move: LabelMove | None, model: ModelState, snapshot: Snapshot) -> Plan:
    """What undoing the panel's last move means; `move` is that move, None before the first one."""
    if move is None or move.model != model.name:
        return Plan(refusal="Nothing to undo in this panel.")
    if model.labels.get(move.label) != move.version:
        return Plan(refusal=f"{move.label} was moved since: there is no step back.")
    return plan_move(move.undone(), model, snapshot)


def plan_load(version: int | None, model: ModelState, snapshot: Snapshot) -> Plan:
    """What serving one more version means."""
    if version is None:
        return Plan(refusal="There is no version to load.")
    if version in _served(model):
        return Plan(refusal=f"Version {version} is served already.")
    if version not in snapshot.in_folder.get(model.name, ()):
        return Plan(
            refusal=f"Model {model.name} has no version {version} in its folder.",
            hint="Save it first: `%tfserve save OBJ --name NAME`.",
        )
    after = _numbers(sorted({*_served(model), version}))
    return Plan((f"Version {version} loads; the others stay (served: {after}).",))


def plan_unload(version: int | None, model: ModelState, snapshot: Snapshot) -> Plan:
    """What serving one version less means."""
    if version is None:
        return Plan(refusal="There is no version to unload.")
    try:
        left = policy_without(model, version)["specific"]["versions"]
    except ServingError as error:
        return Plan(refusal=error.message, hint=error.hint or "")
    if not left:
        return Plan(
            refusal=f"Version {version} is the only one that is served.",
            hint="Load another one first; to close the whole model use the sidebar.",
        )
    return Plan((_gone(version, model, snapshot), f"Served are then {_numbers(left)}."))


def plan_policy(kind: str, numbers: str, model: ModelState, snapshot: Snapshot) -> Plan:
    """What choosing the versions to serve means."""
    try:
        policy = read_policy(kind, numbers)
    except ServingError as error:
        return Plan(refusal=error.message, hint=error.hint or "")
    if policy == model.policy:
        return Plan(refusal=f"Nothing changes: `{describe_policy(policy)}` is the choice already.")
    wanted = _wanted(policy, model, snapshot)
    labelled = set(model.labels.values())
    coming = sorted(wanted - _served(model))
    missing = [number for number in coming if number not in snapshot.in_folder.get(model.name, ())]
    if missing:
        return Plan(
            refusal=f"Not in the folder: {_numbers(missing)}.", hint="Choose versions that are there."
        )
    lines = [f"Versions: {describe_policy(model.policy)} {ARROW} {describe_policy(policy)}."]
    lines += [f"Loads: {_numbers(coming)}."] if coming else []
    leaving = sorted(_served(model) - wanted - labelled)
    lines += [_gone(number, model, snapshot) for number in leaving[:MAX_NUMBERS]]
    lines += [f"{len(leaving) - MAX_NUMBERS} more unload."] if len(leaving) > MAX_NUMBERS else []
    lines += [
        f"Version {number} keeps its label and stays, unless the model comes from a configuration file."
        for number in sorted((_served(model) - wanted) & labelled)
    ]
    return Plan(tuple(lines))


def plan_rollback(model: ModelState, events: Sequence[Event]) -> Plan:
    """What undoing the model's last change, by whomever, means."""
    try:
        undo = find_undo(events, model.name)
        lines = [f"Roll back: {describe_undo(undo)}."]
        if isinstance(undo, LabelUndo) and undo.version is not None and undo.version not in _served(model):
            lines.append(f"Version {undo.version} loads first.")
        return Plan(tuple(lines))
    except ServingError as error:
        return Plan(refusal=error.message, hint=error.hint or "")


def read_policy(kind: str, numbers: str) -> dict[str, Any]:
    """The policy that the panel's fields mean. INVALID_ARGUMENT says which word is no number."""
    words = [] if kind == "all" else [word for word in re.split(r"[\s,]+", numbers) if word]
    parsed = [parse_version(word) for word in words]
    wrong = [word for word, number in zip(words, parsed, strict=True) if number is None]
    if wrong:
        raise invalid_argument(
            f"{wrong[0]!r} is not a whole number.", "Write numbers with blanks between them."
        )
    return parse_policy(kind, [number for number in parsed if number is not None])


def _refused_move(move: LabelMove, model: ModelState, state: State | None) -> Plan | None:
    """Why the label cannot move; None when it can."""
    label, version = move.label, move.version
    if not label.strip():
        return Plan(refusal="Type a name for the new label.", hint="For example: production.")
    if version == move.now:
        nothing = (
            f"There is no label {label}." if version is None else f"{label} names version {version} already."
        )
        return Plan(refusal=nothing)
    if version is None or state is None:
        return None
    try:
        check_label(label)
    except ServingError as error:
        return Plan(refusal=f"{error.message}.", hint=error.hint or "")
    return _refused_target(version, model, state)


def _refused_target(version: int, model: ModelState, state: State) -> Plan | None:
    """Why no label can name the version; None when it can."""
    known = next((item for item in model.versions if item.version == version), None)
    if known is not None and known.state == "AVAILABLE":
        return None
    now = "not served" if known is None else known.state
    return Plan(
        refusal=f"Version {version} is {now}: a label needs a version that is AVAILABLE.",
        hint=next_step(state, model, version),
    )


def _address(move: LabelMove) -> str:
    return f"/v1/models/{move.model}/labels/{move.label}"


def _moving(move: LabelMove, snapshot: Snapshot, verb: str) -> str:
    """How much traffic is concerned. The engine counts by version: more than those that ask by this label."""
    rate = snapshot.rate(move.model, move.now)
    if rate == 0:
        return f"Version {move.now} answered no request in the last minute."
    return (
        f"Of the {show_rate(rate)} requests/s that version {move.now} answered in the last minute, "
        f"those that ask for {move.label} {verb}; callers that name a version, or none, see no change."
    )


def _left_behind(move: LabelMove, model: ModelState) -> Iterable[str]:
    """What happens to the version that the label leaves, if that was all that kept it."""
    others = [label for label, version in model.labels.items() if version == move.now and label != move.label]
    if move.now is None or others or move.now in _chosen(model):
        return
    yield (
        f"Nothing else keeps version {move.now} then (versions: {describe_policy(model.policy)}): it unloads."
    )


def _chosen(model: ModelState) -> set[int]:
    """The loaded versions that the policy wants by itself."""
    served = _served(model)
    if "specific" in model.policy:
        return served & set(model.policy["specific"].get("versions", ()))
    if "all" in model.policy:
        return served
    return set(sorted(served)[-model.policy.get("latest", {}).get("num_versions", 1) :])


def _wanted(policy: dict[str, Any], model: ModelState, snapshot: Snapshot) -> set[int]:
    """The versions that the policy wants, by the folder as it is now."""
    if "specific" in policy:
        return set(policy["specific"]["versions"])
    there = sorted({*snapshot.in_folder.get(model.name, ()), *_served(model)})
    return set(there if "all" in policy else there[-policy["latest"]["num_versions"] :])


def _gone(version: int, model: ModelState, snapshot: Snapshot) -> str:
    rate = snapshot.rate(model.name, version)
    traffic = "no request" if rate == 0 else f"{show_rate(rate)} requests/s"
    return f"Version {version} unloads; it answered {traffic} in the last minute."


def _served(model: ModelState) -> set[int]:
    return {item.version for item in model.versions if item.state in SERVED}


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:MAX_NUMBERS])
    return shown + (f" and {len(numbers) - MAX_NUMBERS} more" if len(numbers) > MAX_NUMBERS else "")
