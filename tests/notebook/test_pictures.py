"""Pictures of inputs: real image files, tensors by their values' range, and what is none."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from jupyter_tfserve.notebook.pictures import LONGEST_SIDE, encode_png, picture_url, rows_of


def pixels_of(url):
    content = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3])).flatmap(
        lambda shape: arrays(np.uint8, shape)
    )
)
def test_png_holds_the_same_pixels_when_read_again(pixels):
    read = np.asarray(Image.open(io.BytesIO(encode_png(pixels))))
    np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.full((28, 28, 1), 0.5), 128),
        (np.full((28, 28), 1.0), 255),
        (np.full((8, 8, 3), 200, np.uint8), 200),
        (np.full((9, 9, 3), 200.0), 200),
        (np.full((28, 28, 1), 1, np.uint8).tolist(), 255),
    ],
)
def test_brightness_follows_the_range_when_a_tensor_is_an_image(value, expected):
    assert np.unique(pixels_of(picture_url(value))).tolist() == [expected]


def test_brightness_is_spread_when_values_are_negative_or_large():
    value = np.zeros((8, 8, 1))
    value[0, 0], value[1, 1] = -1000, 1000
    assert np.unique(pixels_of(picture_url(value))).tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_file_is_shown_as_it_is_when_the_input_is_encoded(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (255, 0, 0)).save(buffer, kind)
    content = buffer.getvalue()
    b64 = {"b64": base64.b64encode(content).decode()}
    for value in (content, b64):
        url = picture_url(value)
        assert url.startswith(f"data:image/{kind.lower()};base64,")
        assert pixels_of(url).shape == (2, 3, 3)


def test_thumbnail_is_small_when_the_image_is_large():
    assert max(pixels_of(picture_url(np.zeros((1000, 700, 3)))).shape) <= LONGEST_SIDE


@pytest.mark.parametrize(
    "value",
    [
        "text",
        b"bytes",
        {"b64": "not base64!"},
        {"a": 1},
        [1.0, 2.0],
        np.zeros((4, 4, 3)),
        np.zeros((8, 8)),
        np.zeros((28, 28, 2)),
        np.zeros((8, 8, 1), complex),
        [[1.0], [2.0, 3.0]],
        None,
        3,
    ],
)
def test_value_is_no_picture_when_it_does_not_look_like_one(value):
    assert picture_url(value) is None


@pytest.mark.parametrize(
    ("document", "rows"),
    [
        ({"instances": [[1], [2]]}, {"input": [[1], [2]]}),
        ({"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, {"a": [1, 3], "b": [2, 4]}),
        ({"instances": [{"b64": "AA=="}]}, {"input": [{"b64": "AA=="}]}),
        ({"instances": []}, {"input": []}),
        ({"inputs": {"a": [1, 2]}}, {"a": [1, 2]}),
        ({"inputs": [1, 2]}, {"input": [1, 2]}),
        ({"inputs": 5.0}, {}),
    ],
)
def test_rows_are_found_by_name_when_a_request_is_any(document, rows):
    assert rows_of(document) == rows
