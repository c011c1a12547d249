"""Compressed request bodies: inflated, bounded, and refused with a reason."""

from __future__ import annotations

import contextlib
import gzip
import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.gzip_body import BodyTooLarge, inflate
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions

BODY = b'{"instances": [2.0]}'


@given(st.binary(max_size=2000))
def test_body_comes_back_and_the_limit_is_exact(body: bytes) -> None:
    compressed = gzip.compress(body)
    assert inflate(compressed, len(body)) == body
    if body:
        with pytest.raises(BodyTooLarge) as caught:
            inflate(compressed, len(body) - 1)
        assert caught.value.message == f"The request's body is too large; the limit is {len(body) - 1} bytes"


def test_members_are_joined_and_zeros_after_them_are_padding() -> None:
    assert inflate(gzip.compress(b"a") + gzip.compress(b"") + gzip.compress(b"b") + b"\0\0", 2) == b"ab"
    with pytest.raises(BodyTooLarge):
        inflate(gzip.compress(b"a") + gzip.compress(b"b"), 1)


COMPRESSED = gzip.compress(BODY)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY,
        zlib.compress(BODY),
        COMPRESSED[:-1],
        COMPRESSED[:3],
        COMPRESSED + b"x",
        COMPRESSED[:-8] + bytes(8),
    ],
    ids=["empty", "plain", "zlib", "no end", "no header", "garbage behind", "wrong checksum"],
)
def test_what_is_not_gzip_is_refused(body: bytes) -> None:
    with pytest.raises(ServingError, match="The request's body is not valid gzip") as caught:
        inflate(body, 1000)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.sampled_from([b"", COMPRESSED[:10], COMPRESSED[:12], COMPRESSED]), st.binary(max_size=300))
def test_random_bytes_are_inflated_or_refused(opening: bytes, body: bytes) -> None:
    inflated = b""
    with contextlib.suppress(ServingError):
        inflated = inflate(opening + body, 100)
    assert len(inflated) <= 100


def test_bomb_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            inflate(bomb, 2**20)
        # What is compressed twice is inflated once: the rest is no JSON.
        assert inflate(gzip.compress(bomb), 2**20) == bomb
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
async def test_compressed_request_is_answered(serving_rest, encoding: str) -> None:
    async with serving_rest() as rest:
        answer = await rest.predict(gzip.compress(BODY), content_encoding=encoding)
    assert (answer.status, json.loads(answer.body)) == (200, {"predictions": [3.0]})


async def test_large_compressed_request_is_answered(serving_rest) -> None:
    values = [number / 7 for number in range(20_000)]
    async with serving_rest() as rest:
        body = gzip.compress(json.dumps({"instances": values}).encode())
        assert len(body) > 4096
        answer = await rest.predict(body, content_encoding="gzip")
    assert answer.status == 200
    assert len(json.loads(answer.body)["predictions"]) == 20_000


async def test_bad_gzip_is_400_and_names_the_reason(serving_rest) -> None:
    async with serving_rest() as rest:
        answer = await rest.predict(BODY, content_encoding="gzip")
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "The request's body is not valid gzip")


async def test_bomb_is_413_and_names_the_limit(serving_rest) -> None:
    async with serving_rest(LimitOptions(max_body_bytes=1000)) as rest:
        for size in (1001, 50 * 2**20):
            answer = await rest.predict(gzip.compress(b" " * size), content_encoding="gzip")
            assert answer.status == 413
            assert (
                json.loads(answer.body)["error"] == "The request's body is too large; the limit is 1000 bytes"
            )


async def test_get_is_answered_whatever_its_body(serving_rest) -> None:
    async with serving_rest() as rest:
        assert (await rest.ask("GET", "/v1/models/m", b"junk", content_encoding="gzip")).status == 200
