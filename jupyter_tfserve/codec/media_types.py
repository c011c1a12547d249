"""What a REST body is, by Content-Type, and what its answer shall be, by Accept. Pure."""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Final

_LONGEST_CACHED: Final = 256


class Media(enum.Enum):
    """The kinds of bodies that `:predict` takes and gives, by their media types."""

    JSON = "application/json"
    NPY = "application/x-npy"
    NPZ = "application/x-npz"
    PROTOBUF = "application/x-protobuf"


_MEDIA: Final = {media.value: media for media in Media}


def exchanged_media(content_type: str | None, accept: str | None) -> tuple[Media, Media | None]:
    """What the body is, and what Accept names, if it names one of ours."""
    if len(content_type or "") + len(accept or "") <= _LONGEST_CACHED:
        return _cached(content_type or "", accept or "")
    return _exchanged(content_type or "", accept or "")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the sender asks for gzip; `*` is nobody's wish."""
    return any(name in ("gzip", "x-gzip") and weight > 0 for name, weight in _weighted(accept_encoding))


def _exchanged(content_type: str, accept: str) -> tuple[Media, Media | None]:
    body = _MEDIA.get(content_type.partition(";")[0].strip().lower(), Media.JSON)
    wanted = [(weight, _MEDIA[name]) for name, weight in _weighted(accept) if name in _MEDIA and weight > 0]
    # Of equal weights the first: `max` keeps it.
    return body, max(wanted, key=lambda one: one[0])[1] if wanted else None


_cached = lru_cache(maxsize=1024)(_exchanged)


def _weighted(header: str) -> list[tuple[str, float]]:
    """The names of a header's list with their `q`, 1 where there is none, 0 where it is no number."""
    found = []
    for entry in header.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                weight = _number(parameter[2:])
        found.append((name, weight))
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
