"""`%tfserve batching`: a model's batch settings in words and values, and what the server learned of its costs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from jupyter_tfserve.errors import invalid_argument

OFF: Final = "off"
SIZES: Final = "allowed_batch_sizes"
NUMBERS: Final[Mapping[str, type]] = {
    "max_batch_size": int,
    "batch_timeout_micros": int,
    "target_p99_ms": float,
}
TURNS: Final[Mapping[str, str]] = {
    "one_at_a_time": ", one batch at a time",
    "gathering": ", one batch at a time, waiting a moment for the callers of the last one",
}
NAMES: Final = (*NUMBERS, SIZES)


@dataclass(frozen=True, slots=True)
class VersionBatching:
    """How one version is batched now. `learned`: by signature the rows that batches may have, and milliseconds by
    rows. `turns`: how batches were seen to be fastest: `side_by_side`, `one_at_a_time`, or `gathering`.
    """

    version: int
    max_batch_size: int
    batch_timeout_micros: int
    target_p99_ms: float
    is_adaptive: bool
    turns: str
    learned: Mapping[str, tuple[int, Mapping[int, float]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batching:
    """A model's own settings (none: as the server was started), and its versions."""

    model: str
    settings: Mapping[str, Any]
    versions: tuple[VersionBatching, ...]

    def __str__(self) -> str:
        """What a terminal shows."""
        return "\n".join(self._lines())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        head, *lines = (escape(line) for line in self._lines())
        items = "".join(f"<li>{line.strip()}</li>" for line in lines)
        return {"text/plain": str(self), "text/html": f"<div><strong>{head}</strong><ul>{items}</ul></div>"}

    def _lines(self) -> list[str]:
        lines = [f"{self.model}: {describe_settings(self.settings)}"]
        for each in self.versions:
            way = "learned sizes" if each.is_adaptive else "TensorFlow Serving's rules"
            goal = f", p99 within {each.target_p99_ms:g} ms" if each.target_p99_ms else ""
            turns = TURNS.get(each.turns, "")
            lines.append(f"  version {each.version}: {way}, at most {each.max_batch_size} rows{goal}{turns}")
            lines += [
                f"  {key}: batches of up to {rows} rows now; {_costs(costs)}"
                for key, (rows, costs) in each.learned.items()
            ]
        return lines


def parse_batching(model: str, document: Mapping[str, Any]) -> Batching:
    """The control API's document as a value."""
    versions = (
        VersionBatching(
            int(number),
            each["max_batch_size"],
            each["batch_timeout_micros"],
            each["target_p99_ms"],
            each["is_adaptive"],
            each["turns"],
            {
                key: (known["batch_rows"], {int(n): ms for n, ms in known["milliseconds"].items()})
                for key, known in each["learned"].items()
            },
        )
        for number, each in document["versions"].items()
    )
    return Batching(model, document["settings"], tuple(versions))


def parse_changes(words: Iterable[str]) -> dict[str, Any]:
    """Settings by name from words such as `max_batch_size=32`; `NAME=` takes one back (None), `off` all of them.

    INVALID_ARGUMENT names the first word that is no setting.
    """
    given = tuple(words)
    if given == (OFF,):
        return dict.fromkeys(NAMES)
    return dict(_change(word) for word in given)


def with_changes(
    settings: Mapping[str, Any], changes: Mapping[str, Any], signature: str | None = None
) -> dict[str, Any]:
    """The settings with those changes, for the model or for one signature; None takes one back."""
    if signature is not None:
        signatures = dict(settings.get("signatures") or {})
        signatures[signature] = with_changes(signatures.get(signature) or {}, changes)
        return {**settings, "signatures": signatures}
    merged = {**settings, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def describe_settings(settings: Mapping[str, Any]) -> str:
    """The settings as the words that set them."""
    words = [f"{name}={_word(settings[name])}" for name in NAMES if name in settings]
    for key, each in (settings.get("signatures") or {}).items():
        words.append(f"({key}: {describe_settings(each)})")
    return " ".join(words) or "batched as the server was started"


def _change(word: str) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals or name not in NAMES:
        raise invalid_argument(
            f"{word!r} is not a batching setting.", f"Settings: {', '.join(f'{n}=…' for n in NAMES)}, or off."
        )
    if not text:
        return name, None
    try:
        if name == SIZES:
            return name, [int(size) for size in text.split(",")]
        return name, NUMBERS[name](text.removesuffix("ms") if name == "target_p99_ms" else text)
    except ValueError:
        raise invalid_argument(f"{word!r}: expected a number after the sign.") from None


def _word(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _costs(costs: Mapping[int, float]) -> str:
    shown = [f"{rows} in {ms:.3g} ms" for rows, ms in costs.items()]
    return ", ".join(shown) or "nothing learned yet"
