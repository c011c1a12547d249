"""Predict keys: who may ask which models until when, as the desired state remembers it.

A key is shown once, when it is made; what is kept is its SHA-256, which is enough to recognise 256 random bits and
of no use to whoever reads the state. Pure, but for `new_key`, which draws random bits.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.lifecycle.limits import FlowLimits, limits_from_json

ALL_MODELS: Final = "*"
MAX_KEYS: Final = 1024
MAX_NAME: Final = 100
MAX_MODELS: Final = 100
KEY_PREFIX: Final = "tfserve_"
_KEY: Final = re.compile(r"tfserve_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6


@dataclass(frozen=True, slots=True)
class PredictKey:
    """One key. `digest` is its SHA-256 in hex; `models` may be `*`; times in seconds since the epoch."""

    id: str
    digest: str
    models: tuple[str, ...]
    name: str = ""
    created: float = 0.0
    expires: float | None = None
    limits: FlowLimits = field(default_factory=FlowLimits)

    def __post_init__(self) -> None:
        if not self.models or len(self.models) > MAX_MODELS or not all(self.models):
            raise invalid_argument(f"A key needs the names of 1 to {MAX_MODELS} models, or '{ALL_MODELS}'")
        if len(self.name) > MAX_NAME or not self.name.isprintable():
            raise invalid_argument(f"A key's name is at most {MAX_NAME} printable characters")

    def is_expired(self, now: float) -> bool:
        """Whether it counts no more at `now`."""
        return self.expires is not None and now >= self.expires

    def covers(self, model: str) -> bool:
        """Whether its holder may ask `model`; `*` stands for everything that is not one model."""
        return ALL_MODELS in self.models or model in self.models

    def to_json(self) -> dict[str, Any]:
        """All that may be shown: everything but the digest."""
        return {
            "id": self.id,
            "name": self.name,
            "models": list(self.models),
            "created": self.created,
            "expires": self.expires,
            "limits": self.limits.to_json(),
        }


def new_key(
    models: tuple[str, ...], name: str, now: float, expires_s: float | None, limits: FlowLimits
) -> tuple[str, PredictKey]:
    """(the key itself, what is kept of it). INVALID_ARGUMENT for models, a name or limits that can't be."""
    key_id = secrets.token_hex(_ID_BYTES)
    text = f"{KEY_PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    expires = None if expires_s is None else now + expires_s
    return text, PredictKey(key_id, digest_of(text), models, name, now, expires, limits)


def key_id_of(text: str) -> str | None:
    """The public part of a key, or None if the text is no key."""
    match = _KEY.fullmatch(text)
    return None if match is None else match[1]


def digest_of(text: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def key_to_state(key: PredictKey) -> dict[str, Any]:
    """The key as the saved state holds it."""
    return {**key.to_json(), "digest": key.digest}


def key_from_state(document: Mapping[str, Any]) -> PredictKey:
    """The key that the saved state holds; ValueError, TypeError or KeyError if it is none."""
    fields = dict(document)
    fields["models"] = tuple(fields["models"])
    fields["limits"] = limits_from_json(fields["limits"])
    key = PredictKey(**fields)
    if not all(isinstance(text, str) for text in (key.id, key.digest, key.name, *key.models)):
        raise ValueError("a key's texts are no text")
    if not all(type(number) in (int, float) for number in (key.created, key.expires or 0)):
        raise ValueError("a key's times are no numbers")
    return key
