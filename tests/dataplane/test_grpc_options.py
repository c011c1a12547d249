"""grpc_options: what `--grpc_channel_arguments` means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.grpc_options import parse_channel_arguments
from jupyter_tfserve.errors import Code, ServingError


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
