"""What may be served: one model's configuration as a value, and upstream's checks of a whole list.

The checks and their texts are server_core.cc's. A list that fails leaves no trace (upstream keeps it as its
current one, so that every later reload fails). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.lifecycle.policy import All, Latest, Specific, VersionPolicy
from jupyter_tfserve.lifecycle.request_logging import RequestLogging
from jupyter_tfserve.types import MAX_VERSION

TENSORFLOW: Final = "tensorflow"
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FILE_SCHEME: Final = "file://"
MAX_TEXT: Final = 1024
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line separators, and those that turn the direction of writing around."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model that should be served.

    Our extensions: `single_version`: the base path is itself the folder of that version. `keeps_labelled`: versions
    that a label names stay loaded whatever the policy says; for models that a person opened, not for those of
    a config file, where upstream's rule holds.
    """

    name: str
    base_path: str
    policy: VersionPolicy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = TENSORFLOW
    single_version: int | None = None
    keeps_labelled: bool = False
    logging: RequestLogging | None = None

    @property
    def folder(self) -> Path:
        """The base path on this machine."""
        return Path(local_path(self.base_path))

    @property
    def location(self) -> tuple[str, VersionPolicy, int | None, frozenset[int]]:
        """All that decides which folders are loaded."""
        return (self.base_path, self.policy, self.single_version, self.kept_versions)

    @property
    def kept_versions(self) -> frozenset[int]:
        """The versions that stay loaded because a label names them."""
        return frozenset(self.labels.values()) if self.keeps_labelled else frozenset()


def local_path(path: str) -> str:
    """The path that a `file://` URI names; anything else as it is."""
    return path.removeprefix(_FILE_SCHEME) if path.startswith(f"{_FILE_SCHEME}/") else path


def validate_models(models: Iterable[ModelConfig], current: Mapping[str, ModelConfig]) -> None:
    """Passes if `models` may replace `current` (by name), else the error has upstream's text.

    INVALID_ARGUMENT; NOT_FOUND for a log collector of an unknown type.
    """
    listed = tuple(models)
    names: set[str] = set()
    for model in listed:
        if model.name in names:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        names.add(model.name)
        for text in (model.name, *model.labels):
            _check_text(text)
    for model in listed:
        _validate_base_path(model)
    for model in listed:
        _validate_platform(model, current.get(model.name))
        if model.logging is not None:
            model.logging.validate()


def _check_text(text: str) -> None:
    """Names are shown in terminals, logs and pages. Upstream takes any; a person could not have typed these."""
    if len(text) > MAX_TEXT or _CONTROL.search(text) is not None:
        raise invalid_argument(
            f"A model's name or label must have at most {MAX_TEXT} characters and no control characters; "
            f"got {text[:100]!r}"
        )


def _validate_base_path(model: ModelConfig) -> None:
    path = model.base_path
    is_absolute = path.startswith("/") or _URI.match(path) is not None
    if not is_absolute or "\0" in path:
        raise invalid_argument(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={path}"
        )


def _validate_platform(model: ModelConfig, current: ModelConfig | None) -> None:
    if current is not None and current.platform != model.platform:
        raise invalid_argument(
            f"Illegal to change a model's platform. For model {model.name} platform was "
            f"{current.platform} and new platform requested is {model.platform}"
        )
    if model.platform != TENSORFLOW:
        raise invalid_argument(f"Model {model.name} requests unsupported platform {model.platform}")


def policy_to_json(policy: VersionPolicy) -> dict[str, Any]:
    """The policy as ServableVersionPolicy's JSON, with numbers as numbers."""
    match policy:
        case Latest(num_versions):
            return {"latest": {"num_versions": num_versions}}
        case All():
            return {"all": {}}
        case Specific(versions):
            return {"specific": {"versions": list(versions)}}


def policy_from_json(document: object) -> VersionPolicy:
    """The policy that a caller wrote as JSON; INVALID_ARGUMENT if it is none."""
    match document:
        case {"latest": {"num_versions": int(number), **rest}, **others} if not rest and not others:
            return Latest(_checked(number, 2**32 - 1))
        case {"latest": {**rest}, **others} if not rest and not others:
            return Latest()
        case {"all": {**rest}, **others} if not rest and not others:
            return All()
        case {"specific": {"versions": [*versions], **rest}, **others} if not rest and not others:
            return Specific(tuple(_checked(version, MAX_VERSION) for version in versions))
    raise _no_policy()


def _checked(number: object, limit: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= limit:
        raise _no_policy()
    return number


def _no_policy() -> ServingError:
    return invalid_argument(
        'A version policy is {"latest": {"num_versions": N}}, {"all": {}} '
        'or {"specific": {"versions": [N, ...]}}'
    )
