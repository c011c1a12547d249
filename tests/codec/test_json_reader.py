"""Whichever reader takes a body, its meaning is the exact parser's."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec import json_buffers, json_reader
from jupyter_tfserve.codec.json_buffers import read_buffers
from jupyter_tfserve.codec.json_reader import read_json
from jupyter_tfserve.codec.json_text import parse_json
from jupyter_tfserve.codec.json_values import RepeatedMembers
from jupyter_tfserve.errors import ServingError

TOKENS = ["0", "-0", "1", "1.0", "2e3", "-7", "9223372036854775808", "18446744073709551616", "1e39", "0.1"]
ODD_TOKENS = [
    "true",
    "null",
    '"x"',
    '"a\\u0041:"',
    "NaN",
    "{}",
    '{"b64":"aGk="}',
    '{"a":1,"a":2}',
    "[]",
    "01",
    "",
]
SPACES = st.sampled_from(["", " ", "\n"])


def nested(shape: list[int], leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The text of a regular array."""
    for size in reversed(shape):
        inner = leaves
        leaves = st.tuples(SPACES, st.lists(inner, min_size=size, max_size=size)).map(
            lambda drawn: "[" + ("," + drawn[0]).join(drawn[1]) + drawn[0] + "]"
        )
    return leaves


REGULAR = st.lists(st.integers(1, 3), min_size=1, max_size=3).flatmap(
    lambda shape: nested(shape, st.sampled_from(TOKENS))
)
IRREGULAR = st.recursive(
    st.sampled_from(TOKENS + ODD_TOKENS),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
    max_leaves=8,
)
VALUES = REGULAR | REGULAR | IRREGULAR
KEYS = st.sampled_from(["a", "b", "é", "x/y", "inst\\u0061nces", "e1", "b64"])
OBJECTS = st.lists(st.tuples(KEYS, VALUES), max_size=3).map(
    lambda pairs: "{" + ",".join(f'"{key}":{value}' for key, value in pairs) + "}"
)
ROWS = st.lists(OBJECTS, max_size=3).map(lambda rows: "[" + ",".join(rows) + "]")
BODIES = st.lists(
    st.tuples(st.sampled_from(["instances", "inputs", "signature_name"]), SPACES, VALUES | OBJECTS | ROWS),
    max_size=3,
).map(lambda members: ("{" + ",".join(f'"{key}"{s}:{s}{v}' for key, s, v in members) + "}").encode())


@pytest.fixture(autouse=True, params=[1, 10**9], ids=["by lengths", "by text"])
def small_bodies_use_buffers(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Both proofs of a shape are tried on all of them."""
    monkeypatch.setattr(json_buffers, "_LONG", request.param)
    monkeypatch.setattr(json_reader, "BUFFER_BYTES", 0)
    monkeypatch.setattr(json_reader, "_FEW_QUOTES", 10**9)
    monkeypatch.setattr(json_buffers, "MIN_BYTES_PER_ARRAY", 1)


def plain(tree: object) -> object:
    """A tree with numpy arrays as lists, and numbers of a float64 array as floats."""
    if isinstance(tree, np.ndarray):
        return plain(tree.tolist())
    if isinstance(tree, list):
        return [plain(item) for item in tree]
    if isinstance(tree, RepeatedMembers):
        return ("repeated", [(key, plain(item)) for key, item in tree.pairs])
    if isinstance(tree, dict):
        return [(key, plain(item)) for key, item in tree.items()]
    return tree


def floated(value: object, example: object) -> object:
    """`value`, its integers as floats wherever `example` has floats (a mixed array has one dtype)."""
    if isinstance(value, (list, tuple)) and isinstance(example, (list, tuple)):
        return type(value)(floated(a, b) for a, b in zip(value, example, strict=True))
    if type(value) is int and isinstance(example, float):
        return float(value)
    return value


@given(BODIES, st.sampled_from([b"", b" ", b"x", b"\0", b"}"]))
def test_read_json_is_the_exact_parser_whatever_the_body(body: bytes, tail: bytes) -> None:
    body += tail
    try:
        expected = parse_json(body)
    except ServingError as error:
        with pytest.raises(ServingError) as raised:
            read_json(body, 1_000_000)
        assert raised.value.message == error.message  # noqa: PT017
        return
    document = read_json(body, 1_000_000)
    found = plain(document.tree)
    assert repr(found) == repr(floated(plain(expected), found) if document.has_buffers else plain(expected))
    assert repr(plain(document.value())) == repr(plain(expected))


@pytest.mark.parametrize(
    ("text", "dtype", "shape"),
    [
        ("[[1,2],[3,4]]", np.int64, (2, 2)),
        ("[[1,2],[3,4.0]]", np.float64, (2, 2)),
        ("[18446744073709551615]", np.uint64, (1,)),
        ("[[[1e5]],[[2]]]", np.float64, (2, 1, 1)),
    ],
)
def test_read_buffers_takes_a_regular_array_of_numbers(
    text: str, dtype: type, shape: tuple[int, ...]
) -> None:
    tree = read_buffers(b'{"instances" : ' + text.encode() + b', "signature_name":"s"}')
    assert tree is not None
    assert (tree["instances"].dtype, tree["instances"].shape) == (dtype, shape)
    assert tree["signature_name"] == "s"


@pytest.mark.parametrize(
    "text",
    [
        "[[1,2],[3]]",
        "[[1],2]",
        "[1,[2]]",
        "[[1],[]]",
        "[[],[]]",
        "[]",
        "[1,true]",
        "[1,null]",
        '[1,"2"]',
        "[[1,2],[3,4,5],[6]]",
        "[1e400]",
        "[18446744073709551616]",
        "[1,2",
        '[1],"a":1',
        "[[1,2],[[3],4]]",
        "[[1,2],[3,[4]]]",
        "[[[1,2]],[3,4]]",
        "[[[1,2]],[[3],[4]]]",
        "[[[1,2],[3,4]],[[5,6]]]",
        '[1,[2]],"[":1',
        '[[1,2],[3]],"b":[4]',
        '[[1,2],[3]],"b":"["',
    ],
)
def test_read_buffers_leaves_the_body_alone_when_irregular(text: str) -> None:
    assert read_buffers(b'{"a":' + text.encode() + b"}") is None


@pytest.mark.parametrize("member", ['"[":1', '"b":"[ ["', '"\\u005b":1', '"b":"\\n"', '"b":{"c":[[5],[6]]}'])
def test_read_buffers_tells_brackets_of_lists_from_those_of_texts(member: str) -> None:
    tree = read_buffers(b'{"a":[[1,2],[3,4]],' + member.encode() + b"}")
    if tree is not None:  # the text alone cannot prove names that are spelled with escapes
        assert tree["a"].tolist() == [[1, 2], [3, 4]]
        assert plain(tree) == plain(parse_json(b'{"a":[[1,2],[3,4]],' + member.encode() + b"}"))


def test_read_buffers_takes_rows_of_arrays_and_scalars() -> None:
    tree = read_buffers(b'{"instances":[{"a":[1,2],"b":"x","c":3},{"a":[4,5],"b":"y","c":0.5}]}')
    assert tree is not None
    assert plain(tree["instances"]) == [
        [("a", [1, 2]), ("b", "x"), ("c", 3)],
        [("a", [4, 5]), ("b", "y"), ("c", 0.5)],
    ]


def test_read_buffers_refuses_quickly_when_a_short_text_claims_a_huge_shape() -> None:
    row = "[" + ",".join(["1"] * 300) + "]"
    for _ in range(4):
        row = "[" + row + ",1" * 300 + "]"
    assert read_buffers(b'{"a":' + row.encode() + b"}") is None


def test_read_buffers_agrees_with_the_parser_on_an_image() -> None:
    numbers = random.Random(7)
    rows = [[[round(numbers.uniform(-1e3, 1e3), 6) for _ in range(3)] for _ in range(40)] for _ in range(40)]
    body = f'{{"instances": {[rows]}}}'.encode()
    tree = read_buffers(body)
    assert tree is not None
    assert tree["instances"].tolist() == [rows]


@pytest.mark.parametrize("body", [b'{"a":[[[1]]]}', b'{"a":[[["x"]]]}'])
def test_read_json_names_the_limit_when_nested_too_deep(body: bytes) -> None:
    assert read_json(body, 4).tree
    with pytest.raises(ServingError, match=r"max_json_depth \(3\) at offset: 7"):
        read_json(body, 3)


def test_read_json_sees_a_repeated_name_anywhere() -> None:
    for body in (
        b'{"a":1,"a":1}',
        b'{"a":[{"b":1,"b":1}]}',
        b'{"a":[1,{"b" :1,"b":1}]}',
        b'{"a":{"b":"\\":","b":1}}',
    ):
        assert "repeated" in repr(plain(read_json(body, 10**6).tree))


def test_documents_stay_as_they_were_when_their_parser_reads_others() -> None:
    """Parsers are kept and threads may decode side by side; nobody's numbers change."""
    bodies = [f'{{"instances": {[number + 0.5] * 5000}}}'.encode() for number in range(40)]
    with ThreadPoolExecutor(4) as threads:
        documents = list(threads.map(lambda body: read_json(body, 1000), bodies))
    for number, document in enumerate(documents):
        assert document.has_buffers
        assert (document.tree["instances"] == number + 0.5).all()
