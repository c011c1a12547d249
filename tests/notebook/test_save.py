"""Saving: version numbers without a race, objects of every kind, nothing left behind by a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook import save
from jupyter_tfserve.notebook.save import next_version, save_version, writer_for

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """The folder that `save_cases.py` wrote, and what it said about each case."""
    base = tmp_path_factory.mktemp("saved")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("save_cases.py")), str(base)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return base, json.loads(done.stdout)


ROWS = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.mark.parametrize(
    ("case", "inputs", "expected"),
    [
        ("keras_plain", [[1.0, 2.0, 3.0]], [[6.0]]),
        ("keras_like", [[1.0, 2.0, 3.0]], [[6.0]]),
        ("keras_functional", [{"a": [1.0], "b": [2.0, 3.0]}], [[1.0, 2.0, 3.0]]),
        ("module", ROWS, ROWS * 3),
        ("module_like", [[1, 2], [3, 4]], [[2, 4], [6, 8]]),
        ("function", ROWS, [[21.0], [43.0]]),
        ("function_like", {"a": [1.0, 2.0], "b": 5.0}, [6.0, 7.0]),
    ],
)
def test_saved_object_answers_when_served(server, cases, case, inputs, expected):
    base, results = cases
    assert results[case] == {"version": 1}
    server.open(base / case)
    np.testing.assert_array_equal(server.query(case, inputs), expected)


def test_second_function_keeps_its_name_when_the_module_is_called(server, cases):
    server.open(cases[0] / "module")
    answer = server.query("module", ["abc"], signature_name="upper")
    assert answer.tolist() == ["ABC"]


@pytest.mark.parametrize(
    ("case", "message", "hint"),
    [
        ("keras_unbuilt", "has not seen any data yet", "--like"),
        ("module_ambiguous", "has several functions: a, b.", "__call__"),
        ("module_empty", "has no tf.function", "@tf.function"),
        ("module_untracked", "The model cannot be exported: ", None),
        ("function_unknown", "has no input_signature", "--like"),
        ("lambda", "is a plain Python function", "@tf.function"),
        ("number", "An object of type int is not a model that can be served.", "Keras"),
        ("foreign", "Foreign 'foreign' is not a model that can be served.", "tf.Module"),
    ],
)
def test_reason_and_fix_are_given_when_an_object_cannot_be_saved(cases, case, message, hint):
    base, results = cases
    assert message in results[case]["error"]
    assert "\n" not in results[case]["error"]
    assert hint is None or hint in results[case]["hint"]
    assert not (base / case).exists() or list((base / case).iterdir()) == []


@pytest.fixture
def file_writer(monkeypatch):
    """Every object is saved as one file with its text, without TensorFlow."""

    def write(obj):
        def writer(path):
            path.mkdir()
            (path / "saved_model.pb").write_text(str(obj))

        return writer

    monkeypatch.setattr(save, "writer_for", lambda obj, like: write(obj))
    monkeypatch.setattr(save, "_export", lambda writer, target: writer(target))


@pytest.mark.parametrize(
    ("names", "version"),
    [([], 1), (["1", "2"], 3), (["7"], 8), (["007", "x", "-3", ".saving-9", "1.5"], 8)],
)
def test_next_version_follows_the_highest_when_others_are_there(tmp_path, names, version):
    for name in names:
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == version


def test_first_version_is_next_when_the_folder_is_missing(tmp_path):
    assert next_version(tmp_path / "new") == 1


def test_savers_get_different_versions_when_they_save_at_once(tmp_path, file_writer):
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda number: save_version(number, tmp_path), range(8)))
    assert sorted(versions) == list(range(1, 9))
    for number, version in enumerate(versions):
        assert (tmp_path / str(version) / "saved_model.pb").read_text() == str(number)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(1, 9)))


def test_version_is_never_seen_half_written_when_saving(tmp_path, monkeypatch):
    seen = []

    def writer(path):
        path.mkdir()
        seen.append([entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")])
        (path / "saved_model.pb").write_bytes(b"x")

    monkeypatch.setattr(save, "writer_for", lambda obj, like: writer)
    monkeypatch.setattr(save, "_export", lambda writer, target: writer(target))
    assert save_version(object(), tmp_path) == 1
    assert seen == [[]]
    assert [entry.name for entry in tmp_path.iterdir()] == ["1"]


def test_error_is_raised_when_the_folder_cannot_take_the_version(tmp_path, file_writer, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr(save.os, "rename", refuse)
    with pytest.raises(PermissionError):
        save_version(1, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_imported_when_the_object_is_no_model():
    code = (
        "import sys; from jupyter_tfserve.notebook.save import writer_for\n"
        "try: writer_for(3)\n"
        "except Exception as error: print(error)\n"
        "print('tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_refusal_is_invalid_argument_when_the_object_is_a_class():
    with pytest.raises(ServingError) as caught:
        writer_for(dict)
    assert caught.value.code is Code.INVALID_ARGUMENT
