"""grpc_status: every canonical code has its gRPC status, every message fits."""

from __future__ import annotations

import grpc
import pytest

from jupyter_tfserve.dataplane.grpc_status import GRPC_STATUS, truncate_message
from jupyter_tfserve.errors import Code


def test_the_table_is_total_when_compared_with_the_codes():
    assert set(GRPC_STATUS) == set(Code)
    assert set(GRPC_STATUS.values()) == set(grpc.StatusCode)


@pytest.mark.parametrize("code", Code)
def test_code_keeps_its_number_when_it_becomes_a_status(code):
    assert GRPC_STATUS[code].value[0] == code


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
