"""Two models' answers to the same rows: how good each is, how far they agree, where they differ most. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.notebook.answer_table import is_probabilities
from jupyter_tfserve.notebook.comparison_view import comparison_html, comparison_text
from jupyter_tfserve.types import Tensor

WORST_SHOWN: Final = 10
AGREEMENT_SHARE: Final = 0.01
"""Numbers agree when they differ by less than this share of the range of all answers."""


class Kind(enum.Enum):
    """What the answers are: numbers to be close to, or one class of several."""

    NUMBERS = "numbers"
    CLASSES = "classes"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two. `choices` are its classes (or its numbers), a row each; `scores` by metric, if y is known."""

    target: str
    answers: Tensor
    choices: Tensor
    scores: Mapping[str, float]
    latencies_ms: Tensor


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A row on which the two differ. `row` counts from 0."""

    row: int
    difference: float
    a: Any
    b: Any
    truth: Any = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out. `differences` has one number per row, `agreement` is the share of rows that agree."""

    kind: Kind
    a: Side
    b: Side
    agreement: float
    differences: Tensor
    worst: tuple[Disagreement, ...]
    truth: Tensor | None = None

    @property
    def rows(self) -> int:
        """How many rows were compared."""
        return len(self.differences)

    @property
    def is_of_classes(self) -> bool:
        """Whether the answers are classes, not numbers."""
        return self.kind is Kind.CLASSES

    def __str__(self) -> str:
        """The summary that a terminal shows."""
        return comparison_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": comparison_html(self)}


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers to all rows, and how long single rows took."""

    target: str
    values: Tensor
    latencies_ms: Tensor


def compare_answers(a: Answers, b: Answers, truth: object | None = None) -> Comparison:
    """Both beside each other, and beside `truth` (a value or a class per row) if it is known.

    INVALID_ARGUMENT when shapes or lengths do not fit.
    """
    if a.values.shape != b.values.shape or a.values.ndim == 0:
        shapes = f"{list(a.values.shape)} and {list(b.values.shape)}"
        raise invalid_argument(
            f"{a.target} and {b.target} answer in different shapes: {shapes}.",
            "Compare versions whose output has one shape, or choose another output with --output.",
        )
    y = None if truth is None else _truth(truth, len(a.values))
    kind = _kind(a.values, b.values, y)
    if y is not None and kind is Kind.NUMBERS:
        y = _like_answers(y, a.values)
    elif y is not None:
        y = _classes_of_truth(y)
    left, right = (_side(answers, kind, y) for answers in (a, b))
    differences = _differences(kind, left, right)
    agrees = _agrees(kind, left, right, differences)
    worst = _worst(left, right, differences, agrees, y)
    return Comparison(kind, left, right, float(agrees.mean()) if len(agrees) else 1.0, differences, worst, y)


def _kind(a: Tensor, b: Tensor, y: Tensor | None) -> Kind:
    if a.dtype.kind not in "fiu" or (is_probabilities(a) and is_probabilities(b)):
        return Kind.CLASSES
    is_integral = y is not None and y.dtype.kind in "iubUSO"
    if is_integral and a.ndim == 2 and a.shape[1] > 1 and y is not None and y.shape != a.shape:
        return Kind.CLASSES
    return Kind.CLASSES if is_integral and y is not None and _is_binary(a, b, y) else Kind.NUMBERS


def _is_binary(a: Tensor, b: Tensor, y: Tensor) -> bool:
    """Whether the answers are probabilities of "yes" to truths of 0 and 1."""
    if y.dtype.kind not in "iub" or not np.isin(y, (0, 1)).all() or a.dtype.kind != "f":
        return False
    return bool(a.size == len(a) and all(((side >= 0) & (side <= 1)).all() for side in (a, b)))


def _side(answers: Answers, kind: Kind, y: Tensor | None) -> Side:
    values = answers.values
    choices = values if kind is Kind.NUMBERS else _classes(values)
    scores: dict[str, float] = {}
    if y is not None and kind is Kind.CLASSES:
        scores["accuracy"] = float((choices == y).mean())
    elif y is not None:
        error = values.astype(np.float64) - y
        scores = {"MAE": float(np.abs(error).mean()), "RMSE": float(np.sqrt((error**2).mean()))}
    return Side(answers.target, values, choices, scores, answers.latencies_ms)


def _classes(values: Tensor) -> Tensor:
    if values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind in "fiu":
        best: Tensor = values.argmax(axis=1)
        return best
    flat = values.reshape(len(values), -1)
    if flat.shape[1] == 1 and flat.dtype.kind == "f":
        return (flat[:, 0] > 0.5).astype(np.int64)
    texts = [tuple(row) if len(row) > 1 else row[0] for row in flat.tolist()]
    column = np.empty(len(texts), object)
    column[:] = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in texts]
    return column


def _differences(kind: Kind, a: Side, b: Side) -> Tensor:
    if a.answers.dtype.kind not in "fiu":
        return np.asarray(a.choices != b.choices, np.float64)
    left, right = (side.answers.astype(np.float64).reshape(len(side.answers), -1) for side in (a, b))
    distance = np.abs(left - right)
    # Between two distributions: the share of probability that they place differently.
    is_shares = kind is Kind.CLASSES and left.shape[1] > 1
    differences: Tensor = distance.sum(axis=1) / 2 if is_shares else distance.max(axis=1)
    return differences


def _agrees(kind: Kind, a: Side, b: Side, differences: Tensor) -> Tensor:
    if kind is Kind.CLASSES:
        same: Tensor = np.asarray(a.choices == b.choices, bool)
        return same
    both = np.concatenate([a.answers.ravel(), b.answers.ravel()]).astype(np.float64)
    finite = both[np.isfinite(both)]
    spread = float(np.ptp(finite)) if finite.size else 0.0
    close: Tensor = np.asarray(differences <= AGREEMENT_SHARE * spread, bool)
    return close


def _worst(
    a: Side, b: Side, differences: Tensor, agrees: Tensor, y: Tensor | None
) -> tuple[Disagreement, ...]:
    """The rows that differ most; rows that agree are no disagreements. Other classes come before other shares."""
    order = np.lexsort((-np.nan_to_num(differences, nan=np.inf), agrees))
    return tuple(
        Disagreement(
            int(row), float(differences[row]), a.choices[row], b.choices[row], None if y is None else y[row]
        )
        for row in order[:WORST_SHOWN]
        if not agrees[row]
    )


def _truth(truth: object, count: int) -> Tensor:
    y = np.asarray(truth)
    if y.ndim == 0 or len(y) != count:
        given = len(y) if y.ndim else 1
        raise invalid_argument(f"There are {count} rows but {given} true values.", "Give one for each row.")
    return y


def _like_answers(y: Tensor, answers: Tensor) -> Tensor:
    if y.size != answers.size or y.dtype.kind not in "fiub":
        raise invalid_argument(
            f"The true values have shape {list(y.shape)}, the answers {list(answers.shape)}.",
            "Give one true value for each number of the answer.",
        )
    return y.reshape(answers.shape).astype(np.float64)


def _classes_of_truth(y: Tensor) -> Tensor:
    if y.ndim == 2 and y.shape[1] > 1:
        best: Tensor = y.argmax(axis=1)
        return best
    flat = y.reshape(len(y))
    if flat.dtype.kind in "SUO":
        column = np.empty(len(flat), object)
        column[:] = [item.decode() if isinstance(item, bytes) else str(item) for item in flat.tolist()]
        return column
    return flat
