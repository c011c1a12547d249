"""grpc_options: what `--grpc_channel_arguments` means."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.grpc_options import parse_channel_arguments, server_arguments
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ()),
        ("grpc.max_connection_age_ms=2000", (("grpc.max_connection_age_ms", 2000),)),
        ("a=1,b=x,c=-7", (("a", 1), ("b", "x"), ("c", -7))),
        ("a=,b=1.5,c=1e3", (("a", ""), ("b", "1.5"), ("c", "1e3"))),
        ("a=x=y", (("a", "x=y"),)),
        ("a=2147483647,b=-2147483647", (("a", 2147483647), ("b", -2147483647))),
        ("a=2147483648", (("a", "2147483648"),)),
        ("a=" + "9" * 5000, (("a", "9" * 5000),)),
        ("a=٣,b=--1,c=-", (("a", "٣"), ("b", "--1"), ("c", "-"))),
    ],
)
def test_values_are_ints_only_when_they_look_like_one(text, arguments):
    assert parse_channel_arguments(text) == arguments


@pytest.mark.parametrize(("text", "entry"), [("a", "a"), ("a=1,b", "b"), ("a=1,", ""), ("=1", "=1")])
def test_entry_is_refused_when_it_has_no_name_and_value(text, entry):
    with pytest.raises(ServingError) as caught:
        parse_channel_arguments(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == f'--grpc_channel_arguments: "{entry}" is not of the form name=value'


names = st.text(st.characters(exclude_characters=",=", exclude_categories=("Cs",)), min_size=1, max_size=10)


@given(st.lists(st.tuples(names, st.integers(-(2**31) + 1, 2**31 - 1)), min_size=1, max_size=5))
def test_every_int_comes_back_when_written_as_a_list(arguments):
    text = ",".join(f"{name}={value}" for name, value in arguments)
    assert list(parse_channel_arguments(text)) == arguments


def test_limits_hold_when_no_argument_names_them():
    known = server_arguments(LimitOptions(max_body_bytes=5, max_header_bytes=7, idle_timeout_s=9), ())
    assert (known.calls.max_receive_bytes, known.http2.max_header_bytes, known.http2.max_idle_s) == (5, 7, 9)
    assert (known.http2.max_age_s, known.reuse_port, known.unknown) == (math.inf, False, ())


@pytest.mark.parametrize(
    ("argument", "find", "value"),
    [
        ("grpc.max_receive_message_length=100", lambda known: known.calls.max_receive_bytes, 100),
        ("grpc.max_receive_message_length=-1", lambda known: known.calls.max_receive_bytes > 2**60, True),
        ("grpc.max_send_message_length=100", lambda known: known.calls.max_send_bytes, 100),
        ("grpc.max_metadata_size=100", lambda known: known.http2.max_header_bytes, 100),
        ("grpc.max_concurrent_streams=3", lambda known: known.http2.max_concurrent_streams, 3),
        ("grpc.http2.max_frame_size=1", lambda known: known.http2.max_frame_bytes, 16_384),
        ("grpc.max_connection_idle_ms=1500", lambda known: known.http2.max_idle_s, 1.5),
        ("grpc.max_connection_age_ms=2147483647", lambda known: known.http2.max_age_s, math.inf),
        ("grpc.max_connection_age_ms=2000", lambda known: known.http2.max_age_s, 2),
        ("grpc.max_connection_age_grace_ms=2000", lambda known: known.http2.max_age_grace_s, 2),
        ("grpc.keepalive_time_ms=2000", lambda known: known.http2.keepalive_s, 2),
        ("grpc.keepalive_timeout_ms=2000", lambda known: known.http2.keepalive_timeout_s, 2),
        ("grpc.keepalive_permit_without_calls=1", lambda known: known.http2.keepalive_without_streams, True),
        ("grpc.so_reuseport=1", lambda known: known.reuse_port, True),
    ],
)
def test_argument_takes_the_place_of_a_limit(argument, find, value):
    known = server_arguments(LimitOptions(), parse_channel_arguments(argument))
    assert find(known) == value
    assert known.unknown == ()


def test_arguments_that_mean_nothing_are_named_once():
    text = "grpc.lb_policy_name=x,grpc.max_metadata_size=big,a=1,a=2"
    known = server_arguments(LimitOptions(), parse_channel_arguments(text))
    assert known.unknown == ("grpc.lb_policy_name", "grpc.max_metadata_size", "a")
    assert known.http2.max_header_bytes == LimitOptions().max_header_bytes
