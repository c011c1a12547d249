"""Where the time of a question went, as the header tells it and as a person sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.batching.stopwatch import Stopwatch, server_timing
from jupyter_tfserve.client.server_timing import parse_server_timing
from jupyter_tfserve.notebook.time_split import split_html, split_line, split_stages


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("", {}),
        ("cache", {}),
        ("a;dur=1.5, b;desc=x;dur=2,c;dur=no", {"a": 0.0015, "b": 0.002}),
        (";dur=1, a; dur=3", {"a": 0.003}),
    ],
)
def test_header_is_read_by_its_grammar(text, stages):
    assert parse_server_timing(text) == pytest.approx(stages)


@given(st.lists(st.floats(0, 1000), min_size=4, max_size=4))
def test_header_is_read_as_it_was_written(times):
    decode, queue, compute, encode = times
    watch = Stopwatch(0.0, decode, queue + compute, queue, compute)
    end = decode + watch.run_s + encode
    expected = {**watch.split(end), "total": end}
    assert parse_server_timing(server_timing(watch, end)) == pytest.approx(expected, abs=1e-6)


def test_callers_part_is_what_the_server_did_not_take():
    stages = split_stages({"decode": 0.001, "compute": 0.003, "total": 0.004}, 0.010)
    assert stages == pytest.approx({"decode": 0.001, "compute": 0.003, "client": 0.006})
    assert split_line(stages) == "decode 1 ms, compute 3 ms, client 6 ms"
    html = split_html(stages)
    assert [f"width:{share}%" in html for share in ("10.00", "30.00", "60.00")] == [True] * 3
    assert "aria-label='Where the time went: decode 1 ms, compute 3 ms, client 6 ms'" in html


def test_clock_that_went_backwards_takes_nothing():
    assert split_stages({"total": 2.0}, 1.0) == {"client": 0.0}


def test_nothing_is_shown_when_the_server_told_nothing():
    assert split_stages({}, 1.0) == {}
    assert split_html({}) == ""


def test_stage_of_another_server_is_text_and_no_markup():
    html = split_html({"<b>": 1.0})
    assert "<b>" not in html
