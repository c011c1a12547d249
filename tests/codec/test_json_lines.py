"""json_lines: where the parts of a JSON text stand."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.json_lines import json_lines, path_text, refused_path, repeated_name

TEXT = r"""{"a": [1, [], {"b": "x:,[]{}\\\"",
 "c": {}}],
 "d":
   true}"""


def test_every_part_has_its_line_when_strings_look_like_brackets():
    assert list(json_lines(TEXT)) == [
        (("a",), 1),
        (("a", 0), 1),
        (("a", 1), 1),
        (("a", 2), 1),
        (("a", 2, "b"), 1),
        (("a", 2, "c"), 2),
        (("d",), 3),
    ]


def test_repeated_name_is_found_when_objects_have_the_same_elsewhere():
    assert repeated_name('{"a": {"x": 1}, "b": {"x": 1}}') is None
    assert repeated_name('{"a": {"x": 1},\n"b": {"x": 1, "y": 2,\n"x": 3}}') == (("b", "x"), 3)


def test_path_reads_like_code():
    assert path_text(("config", 0, "name")) == "config[0].name"
    assert path_text(()) == ""


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def paths(value: object, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [here] if here else []
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return found + [path for key, member in members for path in paths(member, (*here, key))]


@given(values, st.sampled_from([None, 0, 2]))
def test_parts_are_those_that_json_reads(value, indent):
    assert [path for path, _ in json_lines(json.dumps(value, indent=indent))] == paths(value)


def test_refused_path_is_the_innermost_one_that_is_refused_alone():
    def is_bad(document):
        return "bad" in json.dumps(document)

    def is_crowded(document):
        return "one" in json.dumps(document) and "two" in json.dumps(document)

    def needs_number(document):
        return not isinstance(document.get("n", 0), int)

    assert refused_path({"a": 1, "b": [{"c": 1}, {"c": "bad"}]}, is_bad) == ("b", 1, "c")
    assert refused_path({"a": {"x": "one", "y": "two"}}, is_crowded) == ("a",)
    assert refused_path({"n": {"deep": {"er": 1}}}, needs_number) == ("n",)
