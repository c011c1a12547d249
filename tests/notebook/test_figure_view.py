"""Figures as text and as a curve."""

from __future__ import annotations

import pytest

from jupyter_tfserve.engine.client_figures import FigurePoint, VersionFigures, parse_figures
from jupyter_tfserve.notebook.figure_view import (
    HEIGHT,
    figures_html,
    figures_line,
    show_age,
    show_bytes,
    show_ms,
    show_rate,
    sparkline,
)


def history(*rates: float) -> tuple[FigurePoint, ...]:
    return tuple(FigurePoint(float(second), rate, None) for second, rate in enumerate(rates))


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (show_rate, 0, "0"),
        (show_rate, 0.0167, "0.0167"),
        (show_rate, 12.34, "12.3"),
        (show_rate, 12345.6, "12,346"),
        (show_ms, 0.0412, "0.041 ms"),
        (show_ms, 3.27, "3.3 ms"),
        (show_ms, 99.9, "100 ms"),
        (show_ms, 250.4, "250 ms"),
        (show_ms, 2345, "2.35 s"),
        (show_bytes, 0, "0 B"),
        (show_bytes, 999, "999 B"),
        (show_bytes, 1_200, "1.2 kB"),
        (show_bytes, 24_300_000, "24 MB"),
        (show_bytes, 999_900_000, "1 GB"),
        (show_bytes, 5 * 10**15, "5000 TB"),
        (show_age, -1, "0 s"),
        (show_age, 59.9, "59 s"),
        (show_age, 3599, "59 min"),
        (show_age, 86399, "23 h"),
        (show_age, 200_000, "2 d"),
    ],
)
def test_value_is_short_text(show, value, text):
    assert show(value) == text


def test_line_says_that_nothing_was_asked_and_leaves_out_what_is_not_known():
    assert figures_line(VersionFigures(), 0) == "no requests yet"


def test_line_tells_of_batches_and_devices_when_they_are_known():
    figures = VersionFigures(
        devices=("GPU:0", "CPU", "CPU"), rows_per_batch=1234.6, batch_rows=2048, waiting=3
    )
    expected = "no requests yet, batch size 1,235 (at most 2048), 3 waiting, on 2 x CPU, GPU:0"
    assert figures_line(figures, 0) == expected
    assert figures_line(VersionFigures(rows_per_batch=1.0), 0) == "no requests yet, batch size 1, 0 waiting"
    assert figures_line(VersionFigures(waiting=2, batch_rows=64), 0) == "no requests yet, 2 waiting"


def test_curve_runs_over_the_height_and_says_its_height_in_words():
    svg = sparkline(history(0, 5, 10))
    assert f"points='0.0,{HEIGHT - 1:.1f} 45.0,{HEIGHT / 2:.1f} 90.0,1.0'" in svg
    assert "aria-label='Requests a second in the last 3 s, 10 at most'" in svg


@pytest.mark.parametrize("rates", [(), (3.0,), (0.0, 0.0)])
def test_curve_is_left_out_when_it_would_show_nothing(rates):
    assert sparkline(history(*rates)) == ""
    assert "svg" not in figures_html(VersionFigures(history=history(*rates)), 0)


def test_document_is_read_when_a_newer_engine_says_more():
    document = {
        "window_s": 60,
        "models": {
            "m": {
                "2": {
                    "requests": 3,
                    "p99_ms": 1.5,
                    "news": 1,
                    "devices": ["CPU"],
                    "history": [{"time": 1, "requests_per_second": 2, "p99_ms": None, "news": 1}],
                }
            },
            "empty": {},
        },
    }
    figures = parse_figures(document)
    assert figures.version("m", 2) == VersionFigures(
        requests=3, p99_ms=1.5, devices=("CPU",), history=(FigurePoint(1, 2, None),)
    )
    assert figures.version("m", 1) is None
    assert figures.version("nobody", 1) is None
