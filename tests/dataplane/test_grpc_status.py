"""grpc_status: codes keep their numbers, statuses and details are read back, every message fits."""

from __future__ import annotations

from base64 import b64decode
from urllib.parse import unquote

import grpc
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.grpc_status import Failure, failure_block, failure_of, truncate_message
from jupyter_tfserve.errors import Code

names = st.text("abc-", min_size=1, max_size=8).map(lambda name: f"x{name}-bin")


def test_codes_are_grpcs_when_compared_with_its_own():
    assert {code.name: int(code) for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


@given(st.text(max_size=100), st.dictionaries(names, st.binary(max_size=50)))
def test_failure_is_read_back_when_decoded_as_grpc_says(text, metadata):
    block = failure_block(Failure(Code.ABORTED, text, list(metadata.items())), with_headers=True)
    headers = dict(Decoder().decode(block))
    assert headers[":status"] == "200"
    assert headers["grpc-status"] == "10"
    assert headers["grpc-message"].isascii()
    assert headers["grpc-message"].isprintable()
    assert unquote(headers["grpc-message"]) == text
    assert {name: b64decode(headers[name] + "==") for name in metadata} == metadata


def test_failure_tells_nothing_of_the_inside_when_it_is_a_bug(caplog):
    assert failure_of(KeyError("/secret")) == Failure(
        Code.INTERNAL, "The server failed to answer this request"
    )
    assert "/secret" in caplog.text


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ""),
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1024 + "...TRUNCATED"),
        ("é" * 512, "é" * 512),
        ("x" + "é" * 512, "x" + "é" * 511 + "...TRUNCATED"),
        ("\ud800", "?"),
    ],
    ids=["empty", "just_fits", "one_more", "two_byte_characters", "split_character", "surrogate"],
)
def test_message_is_cut_in_bytes_when_it_is_too_long(message, expected):
    assert truncate_message(message) == expected
