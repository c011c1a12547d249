"""What a status shows, as text and as HTML."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_tfserve.engine.client_figures import FigurePoint, VersionFigures
from jupyter_tfserve.engine.client_state import EngineState, ModelState, VersionState
from jupyter_tfserve.notebook.views import NEEDS_KEY, Status, model_view

ENGINE = EngineState(7, "1.0", 1, 0.0, "http://127.0.0.1:8501", "127.0.0.1:8500", True)
MODEL = ModelState(
    "<m>",
    "/m",
    {"all": {}},
    {"test": 2, "production": 2},
    (VersionState(2, "AVAILABLE"), VersionState(1, "END", "NOT_FOUND", "no <graph>")),
)


def bundle(*models, notes=()):
    return Status(ENGINE, models, "this kernel", "http://h/jupyter-tfserve", notes)._repr_mimebundle_()


def test_text_shows_versions_labels_errors_and_addresses_when_printed():
    lines = bundle(model_view(MODEL, "curl -d 1"), notes=("port 8501 is taken",))["text/plain"].splitlines()
    assert lines[0] == "TensorFlow model server 1.0 (process 7, kept by this kernel)"
    assert lines[1:4] == [
        "  REST     http://127.0.0.1:8501",
        "  gRPC     127.0.0.1:8500",
        "  Jupyter  http://h/jupyter-tfserve",
    ]
    assert lines[4:] == [
        "<m> (versions: all)",
        "     2  AVAILABLE  <- production, test",
        "     1  END  NOT_FOUND: no <graph>",
        "  curl -d 1",
        "Note: port 8501 is taken",
    ]


def test_html_shows_what_the_text_shows_when_names_hold_markup():
    html = bundle(model_view(MODEL, "curl '<>'"), notes=("<i>",))["text/html"]
    assert "<m>" not in html
    assert "&lt;m&gt;" in html
    assert "no &lt;graph&gt;" in html
    assert "curl &#x27;&lt;&gt;&#x27;" in html
    assert "<i>" not in html


def test_next_step_is_visible_when_there_are_no_models():
    assert "No models yet." in bundle()["text/plain"]
    assert "No models yet." in bundle()["text/html"]


def test_keys_and_limits_are_visible_when_there_are_any():
    limited = model_view(replace(MODEL, limits={"requests_per_second": 5, "burst": 2}), "")
    shown = Status(replace(ENGINE, keys_required=True), (limited,), "this kernel")._repr_mimebundle_()
    assert "<m> (versions: all; at most 5/s, bursts of 2)" in shown["text/plain"]
    assert "at most 5/s, bursts of 2" in shown["text/html"]
    assert all(NEEDS_KEY in shown[kind] for kind in ("text/plain", "text/html"))
    assert NEEDS_KEY not in bundle()["text/plain"] + bundle()["text/html"]


def test_version_says_its_labels_and_error_when_printed():
    available, ended = model_view(MODEL, "").versions
    assert str(available) == "<m> version 2: AVAILABLE (production, test)"
    assert str(ended) == "<m> version 1: END: NOT_FOUND: no <graph>"


def version(number, state, error_code, error_message):
    """A card's version without figures."""
    return {
        "version": number,
        "state": state,
        "error_code": error_code,
        "error_message": error_message,
        "figures": None,
    }


def test_card_document_has_what_the_extension_draws_and_no_token():
    status = Status(ENGINE, (model_view(MODEL, "curl -d 1"),), "this kernel", None, ("a note",), None, 12.5)
    card = status._repr_mimebundle_()["application/vnd.jupyter-tfserve.card+json"]
    assert card == {
        "api_level": 1,
        "engine_name": None,
        "owner": "this kernel",
        "time": 12.5,
        "engine": {"rest_url": "http://127.0.0.1:8501", "grpc_address": "127.0.0.1:8500"},
        "models": [
            {
                "name": "<m>",
                "base_path": "/m",
                "labels": {"production": 2, "test": 2},
                "problem": "",
                "versions": [
                    {
                        "version": 2,
                        "state": "AVAILABLE",
                        "error_code": "OK",
                        "error_message": "",
                        "changing_since": None,
                        "last_error": None,
                        "figures": None,
                    },
                    {
                        "version": 1,
                        "state": "END",
                        "error_code": "NOT_FOUND",
                        "error_message": "no <graph>",
                        "changing_since": None,
                        "last_error": None,
                        "figures": None,
                    },
                ],
                "curl": "curl -d 1",
            }
        ],
        "notes": ["a note"],
    }


def test_figures_of_the_last_minute_are_in_text_html_and_card_when_the_version_serves():
    figures = VersionFigures(
        7, 3.5, 0.5, 0.42, 12.0, 24_000_000, 1_200_000, 100.0, (FigurePoint(159.0, 3.0, 1.0),)
    )
    shown = Status(
        ENGINE, (model_view(MODEL, "", {2: figures}),), "this kernel", None, (), None, 160.0
    )._repr_mimebundle_()
    line = "3.5 requests/s, 0.5 errors/s, p50 0.42 ms, p99 12 ms, 24 MB memory, 1.2 MB on disk, up 1 min"
    assert line in shown["text/plain"]
    assert line in shown["text/html"]
    available, ended = shown["application/vnd.jupyter-tfserve.card+json"]["models"][0]["versions"]
    assert ended["figures"] is None
    assert (available["figures"]["p99_ms"], "history" in available["figures"]) == (12.0, False)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        (VersionState(3, "LOADING", changing_since=88.0), "3  LOADING for 12 s"),
        (
            VersionState(3, "LOADING", changing_since=40.0, last_error="no <graph>"),
            "3  LOADING for 1 min; no <graph>",
        ),
        # The last attempt's error is its error already.
        (
            VersionState(3, "LOADING", "UNKNOWN", "no <graph>", None, (), 40.0, "no <graph>"),
            "3  LOADING for 1 min  UNKNOWN: no <graph>",
        ),
        (VersionState(3, "AVAILABLE"), "3  AVAILABLE"),
    ],
)
def test_version_says_how_long_it_has_been_loading_and_why_again(version, line):
    status = Status(ENGINE, (model_view(replace(MODEL, versions=(version,)), ""),), "this kernel", time=100.0)
    shown = status._repr_mimebundle_()
    assert line in [each.strip() for each in shown["text/plain"].splitlines()]
    assert "no <graph>" not in shown["text/html"]
    for part in line.replace("<", "&lt;").replace(">", "&gt;").split("  ")[1:]:
        assert part in shown["text/html"]
