"""What Tab offers, by where the line ends."""

from __future__ import annotations

import pytest

from jupyter_tfserve.engine.client_state import ModelState, VersionState
from jupyter_tfserve.notebook.completion import complete

MODELS = (
    ModelState(
        "m", "/m", {}, {"production": 2}, (VersionState(2, "AVAILABLE"), VersionState(1, "AVAILABLE"))
    ),
    ModelState("other", "/o", {}, {"test": 7}, (VersionState(7, "AVAILABLE"),)),
)
Model = type("Model", (), {"__module__": "keras.src.models.model"})
Sequential = type("Sequential", (Model,), {"__module__": "keras.src.models.sequential"})
NAMESPACE = {"net": Sequential(), "_hidden": Model(), "number": 3, "Model": Model}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%tfserve start --", ["--help", "--name", "--rest-port", "--grpc-port", "--require-keys"]),
        ("%tfserve save ", ["net"]),
        ("%tfserve save net --name ", ["m", "other"]),
        ("%tfserve save net --label ", ["production", "test"]),
        ("%tfserve label pro", ["production=", "test="]),
        ("%tfserve label production=", ["1", "2", "7"]),
        ("%tfserve limit ", ["m", "other"]),
        ("%tfserve share ", ["m", "other"]),
        ("%tfserve unlabel ", ["production", "test"]),
        ("%tfserve panel ", ["m", "other"]),
        ("%tfserve versions ", ["all", "latest", "specific"]),
        ("%tfserve versions all --model ", ["m", "other"]),
        ("%%tfserve query ", ["m", "other"]),
        ("%%tfserve query m@", ["production"]),
        ("%%tfserve query m/", ["m/2", "m/1"]),
        ("%tfserve fly ", []),
        ("%tfserve start ", []),
    ],
)
def test_words_fit_their_place_when_completed(line, words):
    assert complete(line, lambda: MODELS, NAMESPACE) == words


@pytest.mark.parametrize("line", ["%tfserve ", "%tfserve st"])
def test_commands_are_offered_when_none_is_complete(line):
    assert {"start", "status", "stop"} <= set(complete(line, lambda: MODELS, NAMESPACE))
