"""How much one model, or one key's holder, may ask for: the numbers, as values and as the control API's JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from jupyter_tfserve.errors import invalid_argument

MAX_NUMBER: Final = 1e9


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """None is no limit. `burst` are the requests that a full bucket lets in at once; None: one second's worth.

    For `slow_start_s` after a version became available the rate rises from a tenth to all of
    `requests_per_second`.
    """

    requests_per_second: float | None = None
    burst: int | None = None
    max_in_flight: int | None = None
    slow_start_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_second", "slow_start_s"):
            _check_number(name, getattr(self, name), (int, float), "a positive number")
        for name in ("burst", "max_in_flight"):
            _check_number(name, getattr(self, name), (int,), "a positive whole number")
        for name in ("burst", "slow_start_s"):
            if getattr(self, name) is not None and self.requests_per_second is None:
                raise invalid_argument(f"'{name}' needs 'requests_per_second'")

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self == FlowLimits()

    def to_json(self) -> dict[str, Any]:
        """Every limit by its name."""
        return asdict(self)


_NAMES: Final = tuple(field.name for field in fields(FlowLimits))


def limits_from_json(document: Mapping[str, Any]) -> FlowLimits:
    """The limits that a caller wrote; INVALID_ARGUMENT naming the first that is wrong or unknown."""
    for name in document:
        if name not in _NAMES:
            raise invalid_argument(f"There is no limit '{name[:100]}': expected {', '.join(_NAMES)}")
    return FlowLimits(**document)


def _check_number(name: str, value: object, kinds: tuple[type, ...], expected: str) -> None:
    if value is None:
        return
    # Not isinstance: True is an int.
    if type(value) not in kinds or not (0 < value <= MAX_NUMBER and math.isfinite(value)):  # type: ignore[operator,arg-type]
        raise invalid_argument(f"'{name}' must be {expected} of at most {MAX_NUMBER:.0e}, or null")
