"""Everything that a panel shows, worked out from what is known and what the person has chosen. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from jupyter_tfserve.engine.client_figures import VersionFigures
from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.notebook.panel.plans import (
    LabelMove,
    Plan,
    plan_load,
    plan_move,
    plan_policy,
    plan_rollback,
    plan_undo,
    plan_unload,
)
from jupyter_tfserve.notebook.panel.plot import MAX_LINES
from jupyter_tfserve.notebook.panel.rows import NOT_SERVED, Rows, version_rows
from jupyter_tfserve.notebook.panel.snapshot import Snapshot
from jupyter_tfserve.types import parse_version

NEW_LABEL: Final = ""
TAKE_AWAY: Final = "take away"
KINDS: Final = ("latest", "all", "specific")

Options: TypeAlias = "tuple[tuple[str, str], ...]"
"""What a list offers: the text, and the value behind it."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person has chosen; None where the panel chooses for them, and follows the engine."""

    model: str | None = None
    label: str | None = None
    new_label: str = ""
    target: str | None = None
    version: str | None = None
    kind: str | None = None
    numbers: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One list: what it offers and which value is chosen (None when it offers nothing)."""

    options: Options = ()
    value: str | None = None


_NO_ROWS: Final = Rows(())
_NO_MODEL: Final = Plan(refusal="No model is served.", hint="Serve one: `%tfserve start ./saved_models`.")


@dataclass(frozen=True, slots=True)
class View:
    """One moment of a panel. The plans say what each button would do, or why it cannot."""

    models: Choice = Choice()
    labels: Choice = Choice()
    targets: Choice = Choice()
    versions: Choice = Choice()
    kind: str = KINDS[0]
    numbers: str = ""
    model: ModelState | None = None
    rows: Rows = _NO_ROWS
    figures: tuple[tuple[int, VersionFigures], ...] = ()
    move: LabelMove | None = None
    apply: Plan = _NO_MODEL
    undo: Plan = _NO_MODEL
    load: Plan = _NO_MODEL
    unload: Plan = _NO_MODEL
    set_policy: Plan = _NO_MODEL
    rollback: Plan = _NO_MODEL
    version: int | None = None
    """The version that load and unload are about."""


def chosen(choices: Choices, field: str, value: Any) -> Choices:
    """The choices after one more, without those that it makes meaningless."""
    follows: dict[str, dict[str, Any]] = {
        "model": {"label": None, "target": None, "version": None, "kind": None, "numbers": None},
        "label": {"target": None},
        "kind": {"numbers": None},
    }
    return replace(choices, **{**follows.get(field, {}), field: value})


def view_of(snapshot: Snapshot, choices: Choices, last_move: LabelMove | None) -> View:
    """The panel at this moment; `last_move` is what its undo takes back."""
    models = _models(snapshot, choices)
    model = snapshot.model(models.value)
    if model is None:
        if models.value is None:
            return View()
        gone = Plan(
            refusal=f"Model {models.value} is not served.",
            hint="Serve it again with `%tfserve start PATH`, or choose another model.",
        )
        return View(models, apply=gone, undo=gone, load=gone, unload=gone, set_policy=gone, rollback=gone)
    rows = version_rows(model, snapshot)
    labels = _labels(model, choices)
    targets = _targets(model, labels.value, choices)
    versions = _versions(rows, choices)
    kind, numbers = _policy_fields(model, choices)
    move = _move(model, labels.value, targets.value, choices)
    number = None if versions.value is None else parse_version(versions.value)
    return View(
        models=models,
        labels=labels,
        targets=targets,
        versions=versions,
        kind=kind,
        numbers=numbers,
        model=model,
        rows=rows,
        figures=_figures(model, snapshot),
        move=move,
        apply=_apply(move, model, snapshot),
        undo=plan_undo(last_move, model, snapshot),
        load=plan_load(number, model, snapshot),
        unload=plan_unload(number, model, snapshot),
        set_policy=plan_policy(kind, numbers, model, snapshot),
        rollback=plan_rollback(model, snapshot.events),
        version=number,
    )


def _models(snapshot: Snapshot, choices: Choices) -> Choice:
    names = [] if snapshot.state is None else [model.name for model in snapshot.state.models]
    chosen = choices.model
    if chosen is not None and chosen not in names:
        # It may come back; the panel does not turn to another model by itself.
        names.append(chosen)
    if chosen is None and names:
        chosen = names[0]
    return Choice(tuple((name, name) for name in names), chosen)


def _labels(model: ModelState, choices: Choices) -> Choice:
    options = [(f"{label} (now {version})", label) for label, version in sorted(model.labels.items())]
    return _choice((*options, ("new label …", NEW_LABEL)), choices.label)


def _targets(model: ModelState, label: str | None, choices: Choices) -> Choice:
    now = model.labels.get(label or "")
    options = [(_version_text(item.version, item.state), str(item.version)) for item in model.versions]
    take_away = [("take the label away", TAKE_AWAY)] if now is not None else []
    # The newest version that is up and has not got the label: what one wants to do next.
    ready = [str(item.version) for item in model.versions if item.state == "AVAILABLE"]
    likely = [version for version in ready if version != str(now)] or ready
    return _choice((*options, *take_away), choices.target, *likely[:1])


def _versions(rows: Rows, choices: Choices) -> Choice:
    options = tuple((_version_text(row.version, row.state), str(row.version)) for row in rows.rows)
    waiting = [str(row.version) for row in rows.rows if row.state == NOT_SERVED]
    return _choice(options, choices.version, *waiting[:1])


def _policy_fields(model: ModelState, choices: Choices) -> tuple[str, str]:
    """The kind of policy and its numbers: the person's, else the engine's, else likely ones."""
    current = next((kind for kind in KINDS if kind in model.policy), KINDS[0])
    kind = choices.kind or current
    if choices.numbers is not None:
        return kind, choices.numbers
    policy: dict[str, Any] = dict(model.policy.get(kind, {})) if kind == current else {}
    up = sorted(item.version for item in model.versions if item.state == "AVAILABLE")
    likely = {
        "latest": str(policy.get("num_versions", 1)),
        "all": "",
        "specific": " ".join(str(number) for number in policy.get("versions", up)),
    }
    return kind, likely[kind]


def _move(model: ModelState, label: str | None, target: str | None, choices: Choices) -> LabelMove | None:
    if target is None:
        return None
    name = choices.new_label.strip() if label in (None, NEW_LABEL) else str(label)
    version = None if target == TAKE_AWAY else parse_version(target)
    return LabelMove(model.name, name, version, model.labels.get(name))


def _apply(move: LabelMove | None, model: ModelState, snapshot: Snapshot) -> Plan:
    if move is None:
        return Plan(refusal="There is no version to name yet.", hint=model.problem)
    return plan_move(move, model, snapshot)


def _figures(model: ModelState, snapshot: Snapshot) -> tuple[tuple[int, VersionFigures], ...]:
    """The versions that serve. Those that a plot has room for are the busiest, in an order that does not hop about."""
    known = snapshot.figures.models.get(model.name, {})
    busiest = sorted(known.items(), key=lambda item: (-item[1].requests_per_second, -item[0]))
    drawn, rest = busiest[:MAX_LINES], busiest[MAX_LINES:]
    return (*sorted(drawn, key=lambda item: -item[0]), *rest)


def _choice(options: Options, chosen: str | None, *likely: str) -> Choice:
    values = [value for _, value in options]
    wanted = [value for value in (chosen, *likely, *values[:1]) if value in values]
    return Choice(options, wanted[0] if wanted else None)


def _version_text(version: int, state: str) -> str:
    return f"{version} · {state}"
