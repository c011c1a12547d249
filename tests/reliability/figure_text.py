"""The figures of a case as its row tells them: few, the worst of their kind, beside the bounds that were promised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.reliability.case import Case, Told

Line: TypeAlias = "Mapping[str, Any]"
"""What one test wrote of one case."""


@dataclass(frozen=True)
class Shown:
    """One figure. `bound`: what it may be at most, or at least."""

    text: str
    is_missed: bool = False


@dataclass(frozen=True)
class _Found:
    figure: Mapping[str, Any]
    bound: float | None
    words: str

    def excess(self, is_floor: bool) -> tuple[float, int]:
        """The larger, the worse; against its own bound where that differs from line to line. Of several that are as
        good as each other the one that was asked most often.
        """
        value, bound = float(self.figure["figure"]), self.bound
        asked = int("".join(filter(str.isdigit, self.figure["unit"])) or 0)
        if is_floor:
            return -value, asked
        return (value / bound if bound else value), asked


def shown_figures(case: Case, lines: Sequence[Line]) -> list[Shown]:
    """What the row tells, in the catalogue's order; of a case that names none, every figure."""
    tolds = case.told or tuple(Told(what) for what in dict.fromkeys(_names(lines)))
    return [shown for told in tolds if (shown := _shown(told, lines, is_exact=not case.told)) is not None]


def _names(lines: Iterable[Line]) -> Iterable[str]:
    return (one["what"] for line in lines for one in line["figures"])


def _shown(told: Told, lines: Iterable[Line], is_exact: bool) -> Shown | None:
    found = [each for line in lines for each in _found(told, line, is_exact)]
    if not found:
        return None
    worst = max(found, key=lambda each: each.excess(told.at_least is not None))
    figure, bound = worst.figure, worst.bound
    value = float(figure["figure"])
    is_missed = bound is not None and (value < bound if told.at_least is not None else value > bound)
    name = figure["what"] if len(found) == 1 else f"{told.name or told.what}, worst of {len(found)}"
    beside = f" ({worst.words}, **missed**)" if is_missed else f" ({worst.words})" if bound else ""
    return Shown(f"{name}: {number(value)} {figure['unit']}".rstrip() + beside, is_missed)


def _found(told: Told, line: Line, is_exact: bool) -> Iterable[_Found]:
    for one in line["figures"]:
        if one["what"] == told.what or (not is_exact and one["what"].startswith(told.what)):
            yield _Found(one, *_bound(told, line))


def _bound(told: Told, line: Line) -> tuple[float | None, str]:
    """The bound, and how it is told."""
    if told.at_most is not None:
        return told.at_most, f"bound {number(told.at_most)}"
    if told.at_least is not None:
        return told.at_least, f"bound {number(told.at_least)}"
    if told.times is None:
        return None, ""
    bases = [float(one["figure"]) for one in line["figures"] if one["what"].startswith(told.than)]
    if not bases:
        return None, ""
    return told.times * bases[0], f"bound {number(told.times)} times {number(bases[0])}"


def number(value: float) -> str:
    """Three digits, or all of a large one."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
