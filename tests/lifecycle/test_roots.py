"""Folders that models may come from: by real path, when a model is opened and again when a version is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.resolve import resolve_base_path
from jupyter_tfserve.lifecycle.roots import check_folder, check_models, check_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    version = tmp_path / "models" / "m" / "1"
    (version / "variables").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"x")
    (version / "variables" / "variables.index").write_bytes(b"x")
    (tmp_path / "models-secret" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models-secret" / "m" / "1" / "saved_model.pb").write_bytes(b"x")
    (tmp_path / "models" / "out").symlink_to(tmp_path / "models-secret" / "m")
    return tmp_path / "models"


def refusal(call, *arguments, **named) -> Code:
    with pytest.raises(ServingError) as caught:
        call(*arguments, **named)
    return caught.value.code


def test_folder_passes_inside_and_anywhere_when_there_are_no_roots(root):
    check_folder(str(root / "m"), [str(root)], "m")
    check_folder("/etc", [], "etc")
    check_version(root / "m" / "1", [str(root)])
    check_version(root / "out" / "1", [str(root), f"{root}-secret"])


@pytest.mark.parametrize(
    "path",
    [
        "{root}-secret/m",
        "{root}/out",
        "{root}/m/../../models-secret/m",
        "/proc/self/root/etc",
        "/",
        "gs://bucket/m",
        "{root}/m\0x",
    ],
)
def test_folder_is_refused_outside(root, path):
    path = path.format(root=root)
    assert refusal(check_folder, path, [str(root)], "x") is Code.PERMISSION_DENIED
    config = ModelConfig("m", path)
    assert refusal(check_models, [config], [str(root)]) is Code.PERMISSION_DENIED


def test_nothing_is_made_or_looked_at_outside(root):
    new = root.parent / "new"
    assert refusal(resolve_base_path, str(new), create=True, roots=[str(root)]) is Code.PERMISSION_DENIED
    assert not new.exists()
    # The same answer whether it exists or not.
    assert refusal(resolve_base_path, str(root.parent), roots=[str(root)]) is Code.PERMISSION_DENIED
    assert resolve_base_path(str(root / "m"), roots=[str(root)]).models[0].name == "m"


def test_version_is_refused_when_a_link_leads_out_since_it_was_opened(root):
    version = root / "m" / "1"
    index = version / "variables" / "variables.index"
    index.unlink()
    index.symlink_to(root.parent / "models-secret" / "m" / "1" / "saved_model.pb")
    assert refusal(check_version, version, [str(root)]) is Code.PERMISSION_DENIED


def test_version_is_refused_when_its_folder_is_swapped_for_a_link(root):
    (root / "m" / "1").rename(root / "m" / "old")
    (root / "m" / "1").symlink_to(root.parent / "models-secret" / "m" / "1")
    assert refusal(check_version, root / "m" / "1", [str(root)]) is Code.PERMISSION_DENIED


def test_version_is_refused_when_it_holds_a_pipe_or_a_dangling_link(root):
    version = root / "m" / "1"
    os.mkfifo(version / "assets")
    assert refusal(check_version, version, [str(root)]) is Code.PERMISSION_DENIED
    (version / "assets").unlink()
    (version / "gone").symlink_to(version / "nowhere")
    assert refusal(check_version, version, [str(root)]) is Code.FAILED_PRECONDITION
