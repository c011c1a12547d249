"""What a person's path means."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.policy import Specific
from jupyter_tfserve.lifecycle.resolve import resolve_base_path


def refusal(path: str, **arguments) -> ServingError:
    with pytest.raises(ServingError) as caught:
        resolve_base_path(path, **arguments)
    return caught.value


def test_model_folder_is_one_model(tmp_path, make_version):
    make_version(tmp_path / "mnist", 1)
    make_version(tmp_path / "mnist", 2)
    resolved = resolve_base_path(str(tmp_path / "mnist"))
    assert resolved.models == (ModelConfig("mnist", str(tmp_path / "mnist")),)
    assert resolved.notes == ()


def test_name_that_was_given_wins(tmp_path, make_version):
    make_version(tmp_path / "mnist", 1)
    assert resolve_base_path(str(tmp_path / "mnist"), name="digits").models[0].name == "digits"


def test_numbered_version_folder_pins_that_version_of_its_parent(tmp_path, make_version):
    make_version(tmp_path / "mnist", 3)
    resolved = resolve_base_path(str(tmp_path / "mnist" / "3"))
    assert resolved.models == (ModelConfig("mnist", str(tmp_path / "mnist"), Specific((3,))),)
    assert resolved.notes == ("3 is one version of mnist: only this version is served.",)


def test_version_folder_without_a_number_is_version_1(tmp_path, make_version):
    folder = make_version(tmp_path, "exported")
    resolved = resolve_base_path(str(folder))
    assert resolved.models == (ModelConfig("exported", str(folder), single_version=1),)
    assert len(resolved.notes) == 1


def test_folder_of_models_is_each_of_them(tmp_path, make_version):
    make_version(tmp_path / "a", 1)
    make_version(tmp_path, "b")
    make_version(tmp_path / "half.tmp", 1)
    make_version(tmp_path / ".hidden", 1)
    make_version(tmp_path / "bad name", 1)
    (tmp_path / "data" / "2024").mkdir(parents=True)
    resolved = resolve_base_path(str(tmp_path))
    assert resolved.models == (
        ModelConfig("a", str(tmp_path / "a")),
        ModelConfig("b", str(tmp_path / "b"), single_version=1),
    )
    assert resolved.notes == (
        "b is a model without a version number: it is served as version 1.",
        "bad name is left out: its name cannot be a model's name.",
    )


def test_name_is_refused_when_the_folder_holds_several_models(tmp_path, make_version):
    make_version(tmp_path / "a", 1)
    make_version(tmp_path / "b", 1)
    assert refusal(str(tmp_path), name="x").code is Code.INVALID_ARGUMENT


def test_folders_are_named_when_none_can_be_a_models_name(tmp_path, make_version):
    for name in ("my model", "größe"):
        make_version(tmp_path / name, 1)
    assert "größe, my model" in refusal(str(tmp_path)).message


def test_empty_folder_is_a_model_without_versions_yet(tmp_path):
    (tmp_path / "new").mkdir()
    resolved = resolve_base_path(str(tmp_path / "new"))
    assert [model.name for model in resolved.models] == ["new"]
    assert len(resolved.notes) == 1


def test_missing_folder_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = refusal("./saved_modles")
    assert (error.code, error.message) == (Code.NOT_FOUND, "There is no folder ./saved_modles")
    assert error.hint


def test_missing_folder_is_made_when_asked_for(tmp_path):
    resolved = resolve_base_path(str(tmp_path / "a" / "new"), create=True)
    assert (tmp_path / "a" / "new").is_dir()
    assert [model.name for model in resolved.models] == ["new"]


def test_home_and_relative_paths_are_made_absolute(tmp_path, make_version, monkeypatch):
    make_version(tmp_path / "mnist", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("mnist", "./mnist/", "~/mnist", "mnist/../mnist"):
        assert resolve_base_path(path).models[0].base_path == str(tmp_path / "mnist")


def test_symbolic_link_stays_a_link(tmp_path, make_version):
    make_version(tmp_path / "v2024", 1)
    (tmp_path / "current").symlink_to(tmp_path / "v2024")
    assert resolve_base_path(str(tmp_path / "current")).models[0].base_path == str(tmp_path / "current")


def test_folder_without_a_model_is_not_found(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    error = refusal(str(tmp_path))
    assert (error.code, error.message) == (Code.NOT_FOUND, f"No SavedModel found in {tmp_path}")


@pytest.mark.parametrize(("file", "hint"), [("model.keras", "model.export"), ("saved_model.pb", "folder")])
def test_file_is_refused_with_the_next_step(tmp_path, file, hint):
    (tmp_path / file).write_bytes(b"x")
    error = refusal(str(tmp_path / file))
    assert error.code is Code.NOT_FOUND
    assert hint in error.hint


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff"])
def test_path_is_refused_when_it_can_be_none(path):
    assert refusal(path).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["", "a/b", "a b", ".", "..", "é", "x" * 129, "a\n"])
def test_name_is_refused_when_it_cannot_be_one(tmp_path, make_version, name):
    make_version(tmp_path / "m", 1)
    assert refusal(str(tmp_path / "m"), name=name).code is Code.INVALID_ARGUMENT
