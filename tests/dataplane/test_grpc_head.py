"""grpc_head: what a call's headers mean, and which are not those of a call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.grpc_head import HeadParser
from jupyter_tfserve.errors import Code
from tests.dataplane.http2_peer import ECHO, call_headers, echo

PARSER = HeadParser({ECHO: echo}, {}, max_bytes=2000, max_headers=12)


def parse(*more, **headers):
    return PARSER.parse([*call_headers(**headers), *more])


def test_head_has_the_method_and_what_the_caller_said():
    head = parse((b"x-a", b"1"), (b"x-b-bin", b"AAH/"), (b"x-a", b"2"), grpc_timeout="250m")
    assert (head.path, head.handler, head.timeout_s, head.refusal) == (ECHO, echo, 0.25, None)
    assert head.metadata == (("x-a", "1"), ("x-b-bin", b"\0\1\xff"), ("x-a", "2"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1H", 3600), ("2M", 120), ("20S", 20), ("7m", 0.007), ("7u", 7e-6), ("99999999n", 0.099999999)],
)
def test_timeout_is_read_in_each_unit(text, seconds):
    assert parse(grpc_timeout=text).timeout_s == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["1", "S", "-1S", "1s", "123456789S", "1S ", "٣S", "1.5S"])
def test_timeout_is_refused_when_it_is_none(text):
    assert parse(grpc_timeout=text).refusal.code is Code.INVALID_ARGUMENT


@given(st.binary(min_size=1, max_size=40))
def test_binary_metadata_comes_back_with_or_without_padding(value):
    from base64 import b64encode

    encoded = b64encode(value)
    for text in (encoded, encoded.rstrip(b"=")):
        assert parse((b"x-bin", text)).metadata == (("x-bin", value),)


def test_binary_metadata_is_refused_when_it_is_not_base64():
    assert parse((b"x-bin", b"*")).refusal.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"path": "/test.Echo/No"}, Code.UNIMPLEMENTED),
        ({"path": "nonsense"}, Code.UNIMPLEMENTED),
        ({"grpc_encoding": "snappy"}, Code.UNIMPLEMENTED),
        ({"x": "y" * 2000}, Code.RESOURCE_EXHAUSTED),
        ({f"x-{number}": "1" for number in range(12)}, Code.RESOURCE_EXHAUSTED),
        ({"x-bin": "," * 12}, Code.RESOURCE_EXHAUSTED),
        ({"x-bin": "," * 5, "y-bin": "," * 6}, Code.RESOURCE_EXHAUSTED),
    ],
    ids=["method", "no_path", "encoding", "bytes", "entries", "commas", "more_commas"],
)
def test_call_is_refused_by_its_head(headers, code):
    assert parse(**headers).refusal.code is code


@pytest.mark.parametrize(
    "wrong", [(b"x-bin", b"!!!"), (b"grpc-timeout", b"1x"), (b"a", b"b" * 2000), (b"x-bin", b"," * 12)]
)
def test_refused_head_keeps_what_the_door_looks_at(wrong):
    """Or a valid key would be called none."""
    head = parse((b"authorization", b"Bearer mine"), wrong)
    assert head.refusal.code in (Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED)
    assert (head.path, head.metadata) == (ECHO, (("authorization", "Bearer mine"),))


def test_content_type_and_verb_are_those_of_grpc():
    assert parse(content_type="application/grpc;x=1").http_status == 200
    assert parse(content_type="application/grpc-web").http_status == 415
    assert parse(content_type="application/grpc\n+").is_malformed
    assert parse(content_type="application/grpc+proto").http_status == 200
    assert parse(content_type="text/html").http_status == 415
    assert parse(content_type="").http_status == 415
    assert parse(**{":method": "GET"}).http_status == 405
    assert not parse(te="").is_malformed


@pytest.mark.parametrize(
    "headers",
    [
        call_headers()[1:],
        [*call_headers(), (b":path", b"/late")],
        [(b":path", b"/twice"), *call_headers()],
        [(b":status", b"200"), *call_headers()],
        [*call_headers(), (b"Upper", b"case")],
        [*call_headers(), (b"", b"nameless")],
        [*call_headers(), (b"connection", b"close")],
        [*call_headers(te=""), (b"te", b"gzip")],
        [*call_headers(), (b"x", b"a\r\nb")],
        [*call_headers(), (b"x", b"\0")],
        [*call_headers(), (b"content-length", b"-1")],
        [],
    ],
)
def test_head_is_malformed_when_http2_forbids_it(headers):
    assert PARSER.parse(headers).is_malformed
