"""Questions that a real model refuses: the server's words, and a hint that names the difference and the fix."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.answer import answer_of
from jupyter_tfserve.types import ModelSpec


def hint_of(ask):
    with pytest.raises(ServingError) as caught:
        ask()
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value.hint


def test_hint_gives_the_line_that_works_when_the_shape_is_wrong(server):
    x = np.zeros((2, 1, 4), np.float32)
    hint = hint_of(lambda: server.ask(ModelSpec("keras", 1), x, "x"))
    assert "shape [2,1,4], wanted [?,4] float32" in hint
    fix = hint.rpartition("Fix: ")[2]
    assert server.query("keras/1", eval(fix, {"np": np, "x": x})).shape == (2, 2)


def test_hint_names_the_input_when_a_name_is_wrong(server):
    hint = hint_of(lambda: server.query("strings", {"txet": ["a"], "suffix": ["b"]}))
    assert "rename 'txet' to 'text'" in hint


def test_hint_lists_the_signatures_when_there_is_no_such_one(server):
    with pytest.raises(ServingError) as caught:
        server.query("version/1", [[1.0]], signature_name="nothing")
    assert "serving_default" in caught.value.hint


def test_hint_lists_what_there_is_when_the_target_is_missing(server):
    for target, there_is in (
        ("version/99", "it serves 3, 2, 1."),
        ("verison", "there are version, "),
        ("version@nothing", "Model version has no labels."),
    ):
        with pytest.raises(ServingError) as caught:
            server.query(target, ["no number"])
        assert there_is in caught.value.hint


def test_reply_holds_both_sides_when_all_is_well(server):
    reply = server.ask(ModelSpec("version", 2), [[1.0]])
    assert reply.value["version"].tolist() == [2]
    assert reply.document == {"instances": [[1.0]]}
    assert reply.signature.inputs["x"].dtype == "float"
    assert 0 < reply.elapsed_s < 60
    assert list(reply.stages) == ["decode", "queue", "batch", "compute", "encode", "client"]
    assert sum(reply.stages.values()) == pytest.approx(reply.elapsed_s, abs=1e-4)
    assert reply.stages["compute"] > 0
    assert reply.note == ""
    assert "role='img' aria-label='Where the time went" in answer_of(reply)._repr_mimebundle_()["text/html"]


def test_label_tells_the_next_step_when_its_version_is_not_served(server):
    server.versions("latest", 1, model="version")
    with pytest.raises(ServingError) as caught:
        server.label("production", 1, "version")
    assert "which is not currently available" in caught.value.message
    assert caught.value.hint == (
        "Version 1 is not served (versions: latest 1). Serve it: `%tfserve versions all --model version`."
    )
    server.versions("all", model="version")
    assert server.label("production", 1, "version") is None
    server.unlabel("production", "version")


def test_label_tells_the_versions_when_there_is_no_such_one(server):
    with pytest.raises(ServingError) as caught:
        server.label("production", 77, "version")
    assert caught.value.hint == "There is no version 77. Versions that are up: 1, 2, 3."
