"""Saving through a real engine: the card, the comparison with the notebook's model, and what is taken back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.tensor_proto import decode_tensor
from jupyter_tfserve.codec.tfrecord import read_records
from jupyter_tfserve.options import LimitOptions
from tests.notebook.conftest import set_kernel_home

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The folder that `publish_cases.py` works in."""
    return tmp_path_factory.mktemp("publish")


@pytest.fixture(scope="module")
def cards(home):
    """What `publish_cases.py` printed."""
    with pytest.MonkeyPatch.context() as patch:
        set_kernel_home(patch, home)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(Path(__file__).with_name("publish_cases.py"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["dense", "two_inputs", "upper", "by_name", "functional"])
def test_served_version_agrees_with_the_notebooks_model_when_rows_are_given(cards, name):
    check = cards[name]["check"]
    assert check["reason"] == ""
    assert check["agrees"]
    assert check["rows"] in (2, 3, 4)
    assert check["largest_difference"] < 1e-4


def test_card_says_what_was_saved_when_all_is_well(cards):
    card = cards["dense"]
    assert (card["version"], card["state"], card["labels"]) == (1, "AVAILABLE", ["test"])
    assert card["takes"].endswith(" [?,3] float32")
    assert card["gives"] == "output_0 [?,2] float32"
    assert card["text"].startswith("dense version 1: AVAILABLE (test)\n")
    assert "4 rows agree with the model in this notebook" in card["text"]
    assert "4 rows agree with the model in this notebook" in card["html"]
    assert card["notes"] == []


@pytest.mark.parametrize("name", ["dense", "two_inputs", "noisy", "upper", "by_name", "functional"])
def test_version_is_warmed_up_by_its_example_rows_when_they_are_given(cards, name):
    assert cards[name]["warmup"].startswith("2 requests replayed in ")
    assert [name, 1, cards[name]["warmup"]] in cards["warmups"]


def test_warm_up_holds_one_row_and_the_rows_together_when_it_is_written(cards, home):
    path = home / "models" / "by_name" / "1" / WARMUP_FILE
    with path.open("rb") as stream:
        requests = [PredictionLog.FromString(record).predict_log.request for record in read_records(stream)]
    assert {request.model_spec.name for request in requests} == {"by_name"}
    shapes = [
        {alias: decode_tensor(tensor, LimitOptions()).shape for alias, tensor in request.inputs.items()}
        for request in requests
    ]
    assert shapes == [{"p": (1,), "q": (1,)}, {"p": (2,), "q": (2,)}]


def test_card_says_why_when_a_version_is_not_warmed_up(cards, home):
    assert "--like" in cards["without_rows"]["warmup"]
    assert "too much" in cards["refuses"]["warmup"]
    assert cards["refuses"]["state"] == "AVAILABLE"
    assert cards["unwarmed"]["warmup"] == "no, as you said"
    assert cards["unwarmed"]["check"]["agrees"]
    for name in ("without_rows", "refuses", "unwarmed"):
        assert not (home / "models" / name / "1" / WARMUP_FILE).parent.exists()


def test_signature_follows_the_example_when_the_object_has_none(cards):
    assert cards["two_inputs"]["takes"] == "a [?] float32, b [?] float32"
    assert cards["by_name"]["takes"] == "p [?] float32, q [?] float32"


def test_card_says_why_when_nothing_can_be_compared(cards):
    assert "answers differently each time" in cards["noisy"]["check"]["reason"]
    assert "--like" in cards["without_rows"]["check"]["reason"]


def test_version_is_taken_back_when_it_answers_otherwise(cards):
    assert "The saved model is not the one in this notebook: 2 rows differ" in cards["otherwise"]["error"]
    assert cards["otherwise_left"] == []
    assert "otherwise" not in cards["served"]


def test_version_is_taken_back_when_it_does_not_load(cards):
    assert cards["unservable"]["error"].startswith("Version 1 of unservable does not load: ")
    assert cards["unservable"]["hint"] == "The version was taken back; for callers nothing has changed."
    assert cards["unservable_left"] == []
    assert "unservable" not in cards["served"]


def test_version_is_taken_back_when_the_rows_are_not_what_the_model_takes(cards):
    assert cards["misfit"]["error"].startswith("The rows of --like do not fit: ")
    assert "has shape [2,9], and the model takes [?," in cards["misfit"]["error"]
    assert cards["misfit"]["hint"] == "The version was taken back; for callers nothing has changed."
    assert cards["misfit_left"] == []
    assert "misfit" not in cards["served"]


def test_nothing_is_left_when_a_save_is_interrupted(cards):
    assert cards["interrupted_new"]["interrupted"]
    assert cards["interrupted_new"]["left"] == []
    assert "fresh" not in cards["interrupted_new"]["served"]
    assert cards["interrupted_old"]["left"] == ["1"]


def test_card_warns_when_a_labelled_version_is_no_longer_served(cards):
    (note,) = cards["second"]["notes"]
    assert "Label production names version 1, which is no longer served (versions: latest 1)" in note
    assert "`%tfserve versions all --model dense`" in note
    assert note in cards["second"]["text"]
    assert cards["second"]["labels"] == ["test"]


def test_model_in_the_notebook_is_timed_beside_the_server_when_it_is_given(cards):
    for name in ("dense", "two_inputs", "functional"):
        assert cards["direct"][name]["answers"] > 0
        assert 0 < cards["direct"][name]["median_ms"] < 1000
