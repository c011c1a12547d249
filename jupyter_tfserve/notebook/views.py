"""What a person sees of a server: models, versions and labels, as values that show themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Any, Final

from jupyter_tfserve.engine.client_figures import VersionFigures
from jupyter_tfserve.engine.client_state import EngineState, ModelState, VersionState
from jupyter_tfserve.notebook.amounts import describe_limits
from jupyter_tfserve.notebook.card import CARD_MIME, card_document
from jupyter_tfserve.notebook.device_view import describe_device, describe_replicas
from jupyter_tfserve.notebook.figure_view import figures_html, figures_line, show_age
from jupyter_tfserve.notebook.placement import describe_policy

_COLOURS: Mapping[str, str] = {
    "AVAILABLE": "#2e7d32",
    "LOADING": "#b26a00",
    "START": "#b26a00",
    "UNLOADING": "#b26a00",
    "END": "#757575",
}
_ERROR_COLOUR = "#c62828"
NO_VERSION: Final = "no version yet"
NEEDS_KEY: Final = "Requests to these ports need a key: `%tfserve share MODEL` makes one."
_COLUMNS: Final = ("version", "state", "labels", "last minute")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a model, as it was when it was asked for."""

    model: str
    version: int
    state: str
    labels: tuple[str, ...] = ()
    error: str = ""
    figures: VersionFigures | None = None
    """What it answered in the last minute; None while it does not serve."""
    replicas: str = ""
    """Its processes and their devices, in words; empty for one process on the CPU."""
    changing_since: float | None = None
    """When it began to load or to unload, in seconds since the epoch; None while it does neither."""
    last_error: str = ""
    """Why the last attempt to load it failed, while it is tried again."""

    def __str__(self) -> str:
        """`m version 2: AVAILABLE (production)`."""
        labels = f" ({', '.join(self.labels)})" if self.labels else ""
        error = f": {self.error}" if self.error else ""
        return f"{self.model} version {self.version}: {self.state}{labels}{error}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


@dataclass(frozen=True, slots=True)
class Model:
    """One model with its versions in descending order, and a command that asks it something real."""

    name: str
    base_path: str
    policy: str
    versions: tuple[Version, ...]
    labels: Mapping[str, int] = field(default_factory=dict)
    curl: str = ""
    problem: str = ""
    limits: str = ""
    """What may be asked of it, in words; empty if anything."""


@dataclass(frozen=True, slots=True)
class Status:
    """A server at one moment."""

    engine: EngineState
    models: tuple[Model, ...]
    owner: str
    jupyter_url: str | None = None
    notes: tuple[str, ...] = ()
    engine_name: str | None = None
    """What the Jupyter server calls the engine that it keeps."""
    time: float = 0.0
    """When it was so, in seconds since the epoch."""

    def __str__(self) -> str:
        """The plain text that a terminal shows."""
        return "\n".join(_text_lines(self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": _html(self), CARD_MIME: card_document(self)}


def model_view(
    model: ModelState, curl: str, figures: Mapping[int, VersionFigures] = MappingProxyType({})
) -> Model:
    """A model's state, and its versions' `figures`, as a person reads them."""
    labels = dict(sorted(model.labels.items()))
    versions = tuple(
        version_view(model.name, version, labels, figures.get(version.version)) for version in model.versions
    )
    limits = describe_limits(model.limits) if model.limits else ""
    policy = describe_policy(model.policy)
    return Model(model.name, model.base_path, policy, versions, labels, curl, model.problem, limits)


def version_view(
    model: str, version: VersionState, labels: Mapping[str, int], figures: VersionFigures | None = None
) -> Version:
    """A version's state as a person reads it."""
    named = tuple(label for label, number in labels.items() if number == version.version)
    # A load that was no longer wanted is no failure.
    failed = version.error_code not in ("", "OK", "CANCELLED")
    error = f"{version.error_code}: {version.error_message}" if failed else ""
    replicas = describe_replicas(version.replicas)
    last_error = "" if failed else version.last_error
    return Version(
        model,
        version.version,
        version.state,
        named,
        error,
        figures,
        replicas,
        version.changing_since,
        last_error,
    )


def describe_change(version: Version, now: float) -> str:
    """`for 12 s`, and why it is tried again; empty for a version that neither loads nor unloads."""
    if version.changing_since is None:
        return ""
    again = f"; {version.last_error}" if version.last_error else ""
    return f"for {show_age(now - version.changing_since)}{again}"


def _text_lines(status: Status) -> Iterator[str]:
    engine = status.engine
    yield f"TensorFlow model server {engine.version} (process {engine.pid}, kept by {status.owner})"
    yield from (f"  {name:<8} {address}" for name, address in _addresses(status))
    yield from (f"  {device.name:<8} {describe_device(device)}" for device in engine.devices)
    for model in status.models:
        limits = f"; at most {model.limits}" if model.limits else ""
        yield f"{model.name} (versions: {model.policy}{limits})"
        for version in model.versions:
            yield f"  {_version_line(version, status.time)}"
            if version.figures is not None:
                yield f"        {figures_line(version.figures, status.time)}"
        yield from [] if model.versions else [f"  {model.problem or NO_VERSION}"]
        yield from [f"  {model.curl}"] if model.curl else []
    yield from ["No models yet."] if not status.models else []
    yield from [NEEDS_KEY] if engine.keys_required else []
    yield from (f"Note: {note}" for note in status.notes)


def _addresses(status: Status) -> Iterator[tuple[str, str]]:
    if status.engine.rest_url:
        yield "REST", status.engine.rest_url
    if status.engine.grpc_address:
        yield "gRPC", status.engine.grpc_address
    if status.jupyter_url:
        yield "Jupyter", status.jupyter_url


def _version_line(version: Version, now: float) -> str:
    labels = f"  <- {', '.join(version.labels)}" if version.labels else ""
    replicas = f"  {version.replicas}" if version.replicas else ""
    error = f"  {version.error}" if version.error else ""
    state = f"{version.state} {describe_change(version, now)}".strip()
    return f"{version.version:>4}  {state}{replicas}{labels}{error}"


def _html(status: Status) -> str:
    addresses = " &nbsp; ".join(
        f"{escape(name)} <code>{escape(address)}</code>" for name, address in _addresses(status)
    )
    models = "".join(_model_html(model, status.time) for model in status.models) or "<p>No models yet.</p>"
    told = (*([NEEDS_KEY] if status.engine.keys_required else ()), *status.notes)
    notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in told)
    heading = f"TensorFlow model server {escape(status.engine.version)}, kept by {escape(status.owner)}"
    devices = "".join(
        f"<p>{escape(device.name)} &nbsp; {escape(describe_device(device))}</p>"
        for device in status.engine.devices
    )
    return f"<div><strong>{heading}</strong><p>{addresses}</p>{devices}{models}{notes}</div>"


def _model_html(model: Model, now: float) -> str:
    rows = "".join(_version_html(version, now) for version in model.versions)
    rows = rows or f"<tr><td colspan='{len(_COLUMNS)}'>{escape(model.problem or NO_VERSION)}</td></tr>"
    curl = f"<pre style='white-space:pre-wrap'>{escape(model.curl)}</pre>" if model.curl else ""
    heading = "".join(f"<th style='text-align:left'>{title}</th>" for title in _COLUMNS)
    limits = f" &nbsp; at most {escape(model.limits)}" if model.limits else ""
    return (
        f"<p><strong>{escape(model.name)}</strong> &nbsp; versions: {escape(model.policy)}{limits}</p>"
        f"<table><tr>{heading}</tr>{rows}</table>{curl}"
    )


def _version_html(version: Version, now: float) -> str:
    colour = _ERROR_COLOUR if version.error else _COLOURS.get(version.state, "inherit")
    error = f"<br>{escape(version.error)}" if version.error else ""
    state = f"{version.state} {describe_change(version, now)}".strip()
    state = f"{state}, {version.replicas}" if version.replicas else state
    labels = ", ".join(escape(label) for label in version.labels)
    figures = "" if version.figures is None else figures_html(version.figures, now)
    return (
        f"<tr><td style='text-align:left'>{version.version}</td>"
        f"<td style='text-align:left;color:{colour}'>{escape(state)}{error}</td>"
        f"<td style='text-align:left'>{labels}</td><td style='text-align:left'>{figures}</td></tr>"
    )
