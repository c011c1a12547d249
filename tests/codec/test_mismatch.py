"""Where request and signature differ: the place, both sides, and a fix that really fixes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.mismatch import explain, find_mismatches
from jupyter_tfserve.codec.sample_request import PREDICT_METHOD
from jupyter_tfserve.notebook.query import predict_document
from jupyter_tfserve.types import Signature, TensorSpec


def signature(**inputs):
    specs = {alias: TensorSpec("", dtype, shape) for alias, (dtype, shape) in inputs.items()}
    return Signature(PREDICT_METHOD, specs, {"y": TensorSpec("", "float", (-1,))})


IMAGE = signature(image=("float", (-1, 28, 28, 1)))
PAIR = signature(image=("float", (-1, 28, 28, 1)), name=("string", (-1,)))


def test_place_and_both_sides_are_named_when_one_row_differs():
    good = np.zeros((28, 28, 1)).tolist()
    rows = [{"image": good, "name": "a"}] * 3 + [{"image": np.zeros((28, 28)).tolist(), "name": "b"}]
    (found,) = find_mismatches({"instances": rows}, PAIR)
    assert str(found) == "instances[3].image: shape [28,28], wanted [?,28,28,1] float32"


@pytest.mark.parametrize(
    ("spec", "x"),
    [
        (("float", (-1, 28, 28, 1)), np.zeros((5, 28, 28), np.float32)),
        (("float", (-1, 28, 28, 1)), np.zeros((28, 28, 1), np.float32)),
        (("float", (-1, 28, 28, 1)), np.zeros((28, 28), np.float32)),
        (("float", (-1, 28, 28, 1)), np.zeros((5, 784), np.float32)),
        (("float", (-1, 28, 28, 1)), np.zeros((5, 784)).tolist()),
        (("float", (-1, 3)), [1.0, 2.0, 3.0]),
        (("float", (-1, 3)), np.zeros((4, 1, 3)).tolist()),
        (("float", (-1,)), [[1.0], [2.0]]),
        (("float", (-1,)), np.ones((3, 1))),
        (("float", (-1, 2)), [["1.5", "2"]]),
        (("float", (-1, 1)), np.ones((2, 1), bool)),
        (("int32", (-1, 1)), [[1.0], [2.0]]),
        (("int64", (-1, 1)), np.ones((2, 1), np.float32)),
        (("string", (-1,)), [1, 2]),
        (("float", (-1, 1)), 5.0),
    ],
)
def test_fix_makes_the_request_right_when_it_is_followed(spec, x):
    wanted = signature(x=spec)
    found = list(find_mismatches(predict_document(x), wanted))
    assert found
    fixed = x
    # A shape and a type may both be wrong: each explanation leads one step on.
    for _ in range(2):
        if not found:
            break
        fixed = eval(found[0].fix, {"np": np, "x": fixed})
        found = list(find_mismatches(predict_document(fixed), wanted))
    assert found == []


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.booleans(),
)
def test_every_fix_is_right_when_the_shapes_are_any(wanted, came, as_list):
    wanted = signature(x=("float", (-1, *wanted)))
    x = np.ones(came, np.float32)
    found = list(find_mismatches(predict_document(x.tolist() if as_list else x), wanted))
    if found and found[0].fix:
        fixed = eval(found[0].fix, {"np": np, "x": x.tolist() if as_list else x})
        assert list(find_mismatches(predict_document(fixed), wanted)) == []


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"instances": [[1.0, 2.0]]}, signature(x=("float", (-1, 2)))),
        ({"instances": [[1, 2.5]]}, signature(x=("float", (-1, -1)))),
        ({"instances": [{"b64": "AA=="}, "text", b"x"]}, signature(x=("string", (-1,)))),
        ({"inputs": {"x": [[1]]}}, signature(x=("int8", (-1, 1)))),
        ({"inputs": 3}, signature(x=("float", ()))),
        ({"instances": []}, signature(x=("float", (-1, 2)))),
        ({"instances": np.zeros((2, 2))}, signature(x=("complex64", None))),
    ],
)
def test_nothing_is_said_when_they_agree(document, wanted):
    assert explain(document, wanted) is None


@pytest.mark.parametrize(
    ("document", "wanted", "part"),
    [
        ({"inputs": {"imgae": 1.0}}, IMAGE, "rename 'imgae' to 'image'"),
        ({"instances": [{"image": np.zeros((28, 28, 1))}]}, PAIR, "no input 'name'"),
        ({"instances": [1.0]}, PAIR, "{'image': …, 'name': …}"),
        ({"inputs": [1.0]}, PAIR, "2 named inputs"),
        ({"instances": [[1.0, 2.0], [3.0]]}, signature(x=("float", (-1, 2))), "instances[1]: shape [1]"),
        ({"instances": [[[1.0, 2.0], [3.0]]]}, signature(x=("float", (-1, 2, 2))), "shapes [2] and [1]"),
        ({"instances": [[1.0, "a"]]}, signature(x=("float", (-1, 2))), "values of several kinds"),
        ({"instances": [[None]]}, signature(x=("float", (-1, 1))), "values of several kinds"),
    ],
)
def test_difference_is_told_when_names_lengths_or_kinds_differ(document, wanted, part):
    assert part in explain(document, wanted)


def test_explanation_stays_short_when_every_row_is_wrong():
    text = explain({"instances": [[1.0]] * 100}, signature(x=("float", (-1, 2))), "rows")
    assert text.splitlines() == [
        "The signature wants x [?,2] float32.",
        "instances[0]: shape [1], wanted [?,2] float32",
        "instances[1]: shape [1], wanted [?,2] float32",
        "instances[2]: shape [1], wanted [?,2] float32",
        "… and 97 more places.",
    ]


@pytest.mark.parametrize(
    ("instances", "spec", "named"),
    [
        ([np.zeros((4, 4, 1)).tolist(), np.zeros((4, 4)).tolist()], (-1, 4, 4, 1), False),
        ([np.zeros((4, 4, 1)).tolist(), np.zeros((4, 4)).tolist()], (-1, 4, 4, 1), True),
        ([[1.0, 2.0], [[1.0], [2.0]]], (-1, 2), False),
        ([[1.0, 2.0], [[1.0, 2.0]]], (-1, 2), True),
        ([[[1.0, 2.0]], [1.0, 2.0]], (-1, 1, 2), False),
        ([[1.0, 2.0], ["1", "2"]], (-1, 2), True),
    ],
)
def test_fix_mends_the_single_row_that_is_wrong(instances, spec, named):
    wanted = signature(image=("float", spec))
    instances = [{"image": row} if named else row for row in instances]
    (found,) = find_mismatches({"instances": instances}, wanted, "instances")
    exec(found.fix, {"np": np, "instances": instances})
    rows = [
        {"image": np.asarray(row["image"]).tolist()} if named else np.asarray(row).tolist()
        for row in instances
    ]
    assert list(find_mismatches({"instances": rows}, wanted)) == []


def test_no_conversion_is_told_when_it_would_fail():
    (found,) = find_mismatches({"instances": [[1.0], ["q"]]}, signature(x=("float", (-1, 1))))
    assert (str(found), found.fix) == (
        "instances[1]: strings, wanted [?,1] float32",
        "send numbers there",
    )


def test_search_ends_when_the_request_is_huge():
    text = explain({"instances": [[[1.0]]] * 100_000}, signature(x=("float", (-1, 2))))
    assert "… and at least 997 more places." in text
