"""Answers: numpy to compute with, a table to look at, and nothing of theirs taken for markup."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from jupyter_tfserve.notebook.answer import answer_of
from jupyter_tfserve.notebook.answer_table import MAX_ROWS, is_probabilities, show_value, top_classes
from jupyter_tfserve.notebook.reply import Reply
from jupyter_tfserve.types import ModelSpec


def answer(value, document=None, spec=None):
    return answer_of(Reply(spec or ModelSpec("m", 2), document or {"inputs": 1.0}, None, value, 0.0031))


def shown(value):
    formatter = DisplayFormatter()
    formatter.active_types = ["text/plain", "text/html"]
    return formatter.format(value)[0]


def test_text_is_numpys_own_when_an_answer_is_shown():
    value = np.array([[1.0], [2.5]], np.float32)
    assert shown(answer(value))["text/plain"] == repr(value)
    outputs = {"y": value, "n": np.array([1, 2])}
    assert shown(answer(outputs))["text/plain"] == shown(outputs)["text/plain"]


def test_result_is_plain_numpy_when_something_is_computed():
    given = answer(np.array([[1.0], [3.0]]))
    assert isinstance(given, np.ndarray)
    for part in (given + 1, given[0], given[0, 0], given.mean(), given.sum(axis=0), np.exp(given)):
        assert "text/html" not in shown(part)
        assert not hasattr(part, "reply")
    assert given.mean() == 2.0
    assert "text/html" not in shown(given.copy())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(given)), given)


def test_table_pairs_inputs_and_outputs_when_there_are_rows():
    html = shown(answer(np.array([[0.25], [0.5]]), {"instances": [[1.0, 2.0], [3.0, 4.0]]}))["text/html"]
    assert html.count("<tr>") == 3
    assert "1, 2" in html
    assert "0.25" in html
    assert "m/2: 2 rows; answered in 3.1 ms" in html


def test_classes_are_bars_when_rows_are_probabilities():
    html = shown(answer(np.array([[0.1, 0.7, 0.0, 0.2]], np.float32), {"instances": [[1.0]]}))["text/html"]
    assert html.index("1: 70.0%") < html.index("3: 20.0%") < html.index("0: 10.0%")
    assert "width:70px" in html
    assert "2: 0.0%" not in html


def test_picture_stands_beside_the_answer_when_the_input_is_an_image():
    html = shown(answer(np.array([[1.0]]), {"instances": np.zeros((1, 28, 28, 1))}))["text/html"]
    assert "<img src='data:image/png;base64," in html
    assert "alt='input of row 0'" in html


def test_markup_is_text_when_names_and_values_hold_it():
    bad = "<script>alert(1)</script>'\""
    outputs = {bad: np.array([bad], object)}
    html = shown(answer(outputs, {"instances": [{bad: bad}]}, ModelSpec(bad, label=bad)))["text/html"]
    image = shown(answer(np.array([1.0]), {"inputs": {bad: np.zeros((1, 8, 8, 3))}}))["text/html"]
    for text in (html, image):
        assert "<script" not in text
        assert "&lt;script&gt;" in text


def test_table_is_short_when_there_are_many_rows():
    html = shown(answer(np.zeros((1000, 1)), {"instances": np.zeros((1000, 1))}))["text/html"]
    assert html.count("<tr>") == MAX_ROWS + 1
    assert "1000 rows, the first 10 shown" in html


@pytest.mark.parametrize(
    "value",
    [
        np.array(3.5),
        np.array([], np.float32),
        {"a": np.array([1.0, 2.0]), "b": np.array(7)},
        {"a": np.array([1.0, 2.0]), "b": np.array([b"\xff\x00"], object)},
        np.zeros((2, 3, 4)),
        np.array([1 + 2j, 0]),
    ],
)
def test_answer_is_shown_when_its_shape_is_unusual(value):
    assert "<table>" in shown(answer(value))["text/html"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ([[0.5, 0.5], [0.0, 1.0]], True),
        ([[0.5, 0.6]], False),
        ([[-0.5, 1.5]], False),
        ([[1.0], [1.0]], False),
        ([0.5, 0.5], False),
        ([[np.nan, 1.0]], False),
    ],
)
def test_probabilities_are_recognised_when_rows_sum_to_one(output, expected):
    assert is_probabilities(np.array(output)) is expected


def test_top_classes_keep_their_order_when_some_are_equal():
    assert [number for number, _ in top_classes(np.array([0.25, 0.25, 0.25, 0.25]))] == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"caf\xc3\xa9", "café"),
        ("x" * 200, "x" * 79 + "…"),
        (np.float32(0.1), "0.1"),
        ([1, 2], "1, 2"),
        (np.zeros((2, 2), np.int32), "int32 [2, 2]"),
        ({"b64": "AA=="}, "{'b64': 'AA=='}"),
        (True, "True"),
    ],
)
def test_value_is_short_text_when_shown(value, text):
    assert show_value(value) == text


def test_caption_says_what_else_happened():
    reply = Reply(ModelSpec("m"), {"inputs": 1.0}, None, np.array([1.0]), 0.0031, note="asked <twice>")
    assert "answered in 3.1 ms; asked &lt;twice&gt;" in answer_of(reply)._repr_mimebundle_()["text/html"]
