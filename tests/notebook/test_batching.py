"""Batch settings as words, as values, and on a real server."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.notebook.batching import (
    NAMES,
    describe_settings,
    parse_batching,
    parse_changes,
    with_changes,
)

DOCUMENT = {
    "settings": {"max_batch_size": 8},
    "versions": {
        "3": {
            "max_batch_size": 8,
            "batch_timeout_micros": 0,
            "target_p99_ms": 20.0,
            "allowed_batch_sizes": [],
            "is_adaptive": True,
            "turns": "one_at_a_time",
            "learned": {
                "<b>": {
                    "batch_rows": 8,
                    "milliseconds": {"1": 0.5, "7": 1.25},
                    "pads_to_powers_of_two": False,
                }
            },
        }
    },
}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ((), {}),
        (("max_batch_size=32", "target_p99_ms=7.5"), {"max_batch_size": 32, "target_p99_ms": 7.5}),
        (("target_p99_ms=20ms",), {"target_p99_ms": 20.0}),
        (("allowed_batch_sizes=4,8",), {"allowed_batch_sizes": [4, 8]}),
        (("max_batch_size=",), {"max_batch_size": None}),
        (("off",), dict.fromkeys(NAMES)),
    ],
)
def test_words_are_changes(words, changes):
    assert parse_changes(words) == changes


@pytest.mark.parametrize(
    "word", ["max_batch_size", "size=3", "max_batch_size=x", "allowed_batch_sizes=4,", "=3"]
)
def test_word_that_is_no_setting_is_named(word):
    with pytest.raises(ServingError) as caught:
        parse_changes([word])
    assert word in caught.value.message


def test_changes_keep_the_other_settings():
    before = {"max_batch_size": 8, "signatures": {"s": {"target_p99_ms": 5}}}
    assert with_changes(before, {"target_p99_ms": 9.0, "max_batch_size": None}) == {
        "target_p99_ms": 9.0,
        "signatures": {"s": {"target_p99_ms": 5}},
    }
    assert with_changes(before, {"max_batch_size": 2}, "s")["signatures"] == {
        "s": {"target_p99_ms": 5, "max_batch_size": 2}
    }
    assert describe_settings(before) == "max_batch_size=8 (s: target_p99_ms=5)"


def test_batching_shows_what_is_set_and_what_was_learned():
    batching = parse_batching("m", DOCUMENT)
    assert str(batching).splitlines() == [
        "m: max_batch_size=8",
        "  version 3: learned sizes, at most 8 rows, p99 within 20 ms, one batch at a time",
        "  <b>: batches of up to 8 rows now; 1 in 0.5 ms, 7 in 1.25 ms",
    ]
    html = batching._repr_mimebundle_()["text/html"]
    assert "&lt;b&gt;" in html
    assert "<b>" not in html


def test_settings_are_changed_and_taken_back_on_a_live_server(server):
    changed = server.batching("version", max_batch_size=9, target_p99_ms=30.0)
    try:
        assert changed.settings == {"max_batch_size": 9, "target_p99_ms": 30.0}
        assert {each.max_batch_size for each in changed.versions} == {9}
        assert server.batching("version").settings == changed.settings
        assert dict(server.model("version").batching) == changed.settings
        with pytest.raises(ServingError) as caught:
            server.batching("version", max_batch_size=0)
        assert "max_batch_size" in caught.value.message
    finally:
        back = server.batching("version", **parse_changes(["off"]))
    assert back.settings == {}


def test_replicas_are_changed_and_taken_back_on_a_real_server(server):
    server.replicas(2, model="version")
    try:
        assert server.model("version").replicas == 2
        with pytest.raises(ServingError, match="'replicas' must be a whole number"):
            server.replicas(1000, model="version")
    finally:
        server.replicas(None, model="version")
    assert server.model("version").replicas is None
