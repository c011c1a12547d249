"""When a label may be set: upstream's rule, with and without its flag."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.labels import check_label, validate_labels


@pytest.mark.parametrize(
    ("old", "new", "allow_unavailable"),
    [
        ({}, {}, False),
        ({}, {"A": 1, "B": 2}, False),
        ({"A": 1}, {"A": 2}, False),
        ({"A": 9}, {"A": 1}, False),
        ({"A": 9}, {}, False),
        ({}, {"A": 9}, True),
        ({"A": 9}, {"A": 9}, True),
        ({"A": 1}, {"A": 2}, True),
    ],
)
def test_labels_pass_when_their_versions_may_be_labelled(old, new, allow_unavailable):
    validate_labels("m", old, new, {1, 2}, allow_unavailable)


@pytest.mark.parametrize(
    ("old", "new", "allow_unavailable"),
    [
        ({}, {"A": 9}, False),
        ({"A": 9}, {"A": 9}, False),
        ({}, {"A": 1, "B": 9}, False),
        ({"A": 1}, {"A": 9}, True),
    ],
)
def test_labels_are_refused_in_upstream_words_when_a_version_is_not_available(old, new, allow_unavailable):
    with pytest.raises(ServingError) as caught:
        validate_labels("m", old, new, {1, 2}, allow_unavailable)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert caught.value.message == (
        "Request to assign label to version 9 of model m, which is not currently available for inference"
    )


def test_next_step_is_one_that_can_be_taken_when_a_label_is_refused():
    hints = []
    for available in ({1}, set()):
        with pytest.raises(ServingError) as caught:
            validate_labels("m", {}, {"A": 9}, available)
        hints.append(caught.value.hint)
    assert hints[0] == "Load version 9 first, then set the label."
    assert "Serve it without the label first" in hints[1]


def test_label_without_a_name_is_refused():
    with pytest.raises(ServingError) as caught:
        validate_labels("m", {}, {"": 1}, {1})
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("label", ["production", "a", "1", "v1.2-rc_3", "x" * 128])
def test_label_that_a_person_may_give_passes(label):
    check_label(label)


@pytest.mark.parametrize(
    "label", ["", "..", "a/b", "a b", "production\n", "１", "-x", ".x", "x" * 129, "é", "\0"]
)
def test_label_outside_of_the_grammar_is_refused(label):
    with pytest.raises(ServingError) as caught:
        check_label(label)
    assert caught.value.code is Code.INVALID_ARGUMENT
