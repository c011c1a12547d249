"""What an engine says about itself, as values: the control API's documents on the client's side. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jupyter_tfserve.types import Signature, TensorSpec

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU; its memory is None where nobody says it."""

    name: str
    model: str
    memory_bytes: int | None = None
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Replica:
    """A process that serves a version, on a GPU or the `CPU`."""

    pid: int
    device: str


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version as the engine sees it now; `pid` is its first process, if it has one."""

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""
    pid: int | None = None
    replicas: tuple[Replica, ...] = ()
    changing_since: float | None = None
    """When it began to load or to unload, in seconds since the epoch; None while it does neither."""
    last_error: str = ""
    """Why the last attempt to load it failed, while it is tried again."""


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model: where its versions lie, which are wanted, what is served. Versions in descending order."""

    name: str
    base_path: str
    policy: Mapping[str, Any]
    labels: Mapping[str, int]
    versions: tuple[VersionState, ...]
    problem: str = ""
    """Why no versions are found, if something is wrong with the folder."""
    first_load_pending: bool = False
    """Versions are there, or may be, and none has been up or has failed yet."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """What may be asked of it: `requests_per_second`, `burst`, `max_in_flight`, `slow_start_s`; empty: anything."""
    batching: Mapping[str, Any] = field(default_factory=dict)
    replicas: int | None = None
    """Processes for each version, 0: one for each GPU; None: as the server was started."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine itself; an address is None when that protocol is switched off."""

    pid: int
    version: str
    api_level: int
    started: float
    rest_url: str | None
    grpc_address: str | None
    ready: bool
    keys_required: bool = False
    """Whether the ports answer only those who show a key."""
    devices: tuple[Device, ...] = ()
    """The GPUs that workers may use."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the engine shows, at one moment."""

    engine: EngineState
    models: tuple[ModelState, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """The models that a folder holds, and what the engine wants to tell about them."""

    models: tuple[str, ...]
    notes: tuple[str, ...]


def parse_state(document: Json) -> State:
    """The control API's state document as values."""
    engine = document["engine"]
    return State(
        engine=EngineState(
            **{name: engine.get(name) for name in EngineState.__dataclass_fields__ if name != "devices"},
            devices=tuple(Device(**device) for device in engine.get("devices", ())),
        ),
        models=tuple(_parse_model(model) for model in document["models"]),
    )


def parse_version_state(document: Json) -> VersionState:
    """The control API's version document as a value."""
    return VersionState(
        version=int(document["version"]),
        state=document["state"],
        error_code=document.get("error_code") or "OK",
        error_message=document.get("error_message") or "",
        pid=document.get("pid"),
        replicas=tuple(Replica(**replica) for replica in document.get("replicas", ())),
        changing_since=document.get("changing_since"),
        last_error=document.get("last_error") or "",
    )


def parse_signature(document: Json) -> Signature:
    """The control API's signature document as a value; it holds no graph names."""
    return Signature(
        method_name=document.get("method_name", ""),
        inputs=_parse_specs(document.get("inputs", {})),
        outputs=_parse_specs(document.get("outputs", {})),
    )


def _parse_specs(document: Json) -> dict[str, TensorSpec]:
    return {
        alias: TensorSpec("", spec["dtype"], None if spec["shape"] is None else tuple(spec["shape"]))
        for alias, spec in document.items()
    }


def _parse_model(document: Json) -> ModelState:
    return ModelState(
        name=document["name"],
        base_path=document["base_path"],
        policy=document.get("policy") or {},
        labels={label: int(version) for label, version in document.get("labels", {}).items()},
        versions=tuple(parse_version_state(version) for version in document["versions"]),
        problem=document.get("problem") or "",
        first_load_pending=bool(document.get("first_load_pending")),
        replicas=document.get("replicas"),
        batching=document.get("batching") or {},
        limits={name: value for name, value in (document.get("limits") or {}).items() if value is not None},
    )
