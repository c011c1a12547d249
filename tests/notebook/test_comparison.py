"""Two models side by side: scores, agreement and the rows that differ most, for numbers, classes and texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.comparison import WORST_SHOWN, Answers, Kind, compare_answers

TIMES = np.array([1.0, 2.0, 3.0])


def compare(a, b, truth=None, names=("m/1", "m/2")):
    left, right = (Answers(name, np.asarray(v), TIMES) for name, v in zip(names, (a, b), strict=True))
    return compare_answers(left, right, truth)


def test_numbers_are_scored_when_the_truth_is_known():
    found = compare([[1.0], [2.0], [3.0]], [[1.0], [2.0], [5.0]], [1.0, 2.0, 4.0])
    assert found.kind is Kind.NUMBERS
    assert found.a.scores == pytest.approx({"MAE": 1 / 3, "RMSE": np.sqrt(1 / 3)})
    assert found.b.scores == pytest.approx({"MAE": 1 / 3, "RMSE": np.sqrt(1 / 3)})
    assert found.agreement == pytest.approx(2 / 3)
    (worst,) = found.worst
    assert (worst.row, worst.difference, worst.truth) == (2, 2.0, 4.0)


def test_classes_are_scored_when_answers_are_probabilities():
    a, b = [[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.7, 0.3]]
    found = compare(a, b, [0, 1])
    assert found.kind is Kind.CLASSES
    assert found.a.scores == {"accuracy": 1.0}
    assert found.b.scores == {"accuracy": 0.5}
    assert found.agreement == 0.5
    assert found.differences.tolist() == pytest.approx([0.3, 0.5])
    assert [(item.row, item.a, item.b, item.truth) for item in found.worst] == [(1, 1, 0, 1)]


@pytest.mark.parametrize(
    ("a", "b", "truth", "kind"),
    [
        ([[2.0, -1.0], [0.0, 3.0]], [[2.0, -1.0], [0.0, 3.0]], [0, 1], Kind.CLASSES),
        ([[2.0, -1.0], [0.0, 3.0]], [[2.0, -1.0], [0.0, 3.0]], None, Kind.NUMBERS),
        ([[0.9, 0.1]], [[0.8, 0.2]], None, Kind.CLASSES),
        ([[0.9, 0.1]], [[0.8, 0.2]], [[1, 0]], Kind.CLASSES),
        ([[0.9], [0.1]], [[0.8], [0.2]], [1, 0], Kind.CLASSES),
        ([[0.9], [0.1]], [[0.8], [0.2]], [0.9, 0.1], Kind.NUMBERS),
        ([[9.0], [1.0]], [[8.0], [2.0]], [1, 0], Kind.NUMBERS),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), ["a", "b"], Kind.CLASSES),
        ([True, False], [True, True], None, Kind.CLASSES),
    ],
)
def test_kind_follows_answers_and_truth_when_compared(a, b, truth, kind):
    found = compare(a, b, truth)
    assert found.kind is kind
    if truth is not None and kind is Kind.CLASSES:
        assert found.a.scores == {"accuracy": 1.0}


@pytest.mark.parametrize(
    ("a", "b", "truth"),
    [
        ([[1.0]], [[1.0, 2.0]], None),
        ([[1.0], [2.0]], [[1.0], [2.0]], [1.0]),
        ([[1.0, 2.0]], [[1.0, 2.0]], [1.0]),
        (1.0, 1.0, None),
        ([[1.0]], [[1.0]], ["text"]),
    ],
)
def test_comparison_is_refused_when_shapes_do_not_fit(a, b, truth):
    with pytest.raises(ServingError):
        compare(a, b, truth)


@given(arrays(np.float32, (6, 2), elements=st.floats(-100, 100, width=32)))
def test_model_agrees_with_itself_when_answers_are_any(answers):
    found = compare(answers, answers)
    assert found.agreement == 1.0
    assert found.worst == ()
    assert not found.differences.any()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_worst_rows_are_the_largest_differences_when_numbers_differ(values):
    b = np.array(values)[:, None]
    found = compare(np.zeros_like(b), b)
    shown = [item.difference for item in found.worst]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) <= WORST_SHOWN
    if shown:
        assert shown[0] == np.abs(b).max()


def test_nan_is_a_difference_when_one_answers_it():
    found = compare([[1.0], [2.0]], [[1.0], [np.nan]])
    assert found.agreement == 0.5
    assert found.worst[0].row == 1


@pytest.mark.parametrize(
    ("a", "b", "truth"),
    [
        ([[1.0], [2.0]], [[1.0], [4.0]], [1.0, 2.0]),
        ([[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.7, 0.3]], [0, 1]),
        (np.array([b"a", b"<b>"], object), np.array([b"a", b"c"], object), None),
        ([[np.nan]], [[1.0]], None),
        ([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.5]], None),
    ],
)
def test_everything_is_shown_when_displayed(a, b, truth):
    shown = compare(a, b, truth, ("<m>$1", "m$_2$"))._repr_mimebundle_()
    assert "<img" in shown["text/html"]
    assert "<m>" not in shown["text/html"]
    assert "<b>" not in shown["text/html"]
    assert "&lt;m&gt;$1" in shown["text/html"]
    assert "median 2.00 ms" in shown["text/plain"]


def test_summary_says_how_far_they_agree_when_printed():
    text = str(compare([[1.0], [2.0], [3.0]], [[1.0], [2.0], [5.0]], [1.0, 2.0, 4.0]))
    assert text.splitlines()[0] == "m/1 and m/2: 66.7% of 3 rows agree within 1 % of the range"
    assert "m/1: MAE 0.3333, RMSE 0.5774, median 2.00 ms, p99 2.98 ms" in text
    assert "2 | 3 | 5 | 2 | 4" in text
