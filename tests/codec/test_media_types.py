"""Content-Type and Accept, as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.media_types import Media, accepts_gzip, exchanged_media


@pytest.mark.parametrize(
    ("content_type", "accept", "media"),
    [
        (None, None, (Media.JSON, None)),
        ("application/x-www-form-urlencoded", "*/*", (Media.JSON, None)),
        ("application/octet-stream", "text/html", (Media.JSON, None)),
        ("Application/X-NPY; v=1", None, (Media.NPY, None)),
        ("application/x-protobuf", "application/json", (Media.PROTOBUF, Media.JSON)),
        ("application/json", "text/html, application/x-npz;q=0.9, */*;q=0.1", (Media.JSON, Media.NPZ)),
        (None, "application/json;q=0.5, application/x-npy", (Media.JSON, Media.NPY)),
        (None, "application/x-npy, application/json", (Media.JSON, Media.NPY)),
        (None, "application/x-npy;q=0", (Media.JSON, None)),
        (None, "application/x-npy;q=soon", (Media.JSON, None)),
        (None, "x" * 300 + ", application/x-npy", (Media.JSON, Media.NPY)),
    ],
)
def test_media_are_told_by_the_headers(content_type, accept, media) -> None:
    assert exchanged_media(content_type, accept) == media


@pytest.mark.parametrize(
    ("accept_encoding", "is_gzip"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("br, x-gzip", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("*", False),
        ("", False),
    ],
)
def test_gzip_is_for_who_asks(accept_encoding: str, is_gzip: bool) -> None:
    assert accepts_gzip(accept_encoding) is is_gzip


@given(st.text(), st.text())
def test_any_header_is_borne(first: str, second: str) -> None:
    exchanged_media(first, second)
    accepts_gzip(first)
