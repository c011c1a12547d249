"""Which folders may be served: by real path, never by prefix."""

from __future__ import annotations

import os

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.extension.base_paths import allowed_path, check_path


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data" / "models").mkdir(parents=True)
    (tmp_path / "data-secret").mkdir()
    (tmp_path / "data" / "out").symlink_to(tmp_path / "data-secret")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "in").symlink_to(tmp_path / "data" / "models")
    return tmp_path / "data"


@pytest.mark.parametrize("path", [".", "models", "./models/", "in", "not/made/yet", "models/../models"])
def test_path_is_allowed_when_it_lies_inside(root, path):
    assert allowed_path(path, str(root), [str(root)]) == os.path.abspath(root / path)


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "/etc",
        "../data-secret",
        "models/../../data-secret",
        "out",
        "out/x",
        "up/data-secret",
        "/proc/self/root/etc",
        "~root",
    ],
)
def test_path_is_refused_with_the_way_out_when_it_lies_outside(root, path):
    with pytest.raises(ServingError) as caught:
        allowed_path(path, str(root), [str(root)])
    assert caught.value.code is Code.PERMISSION_DENIED
    assert repr(path) in caught.value.message
    assert "c.TFServe.allowed_base_paths" in caught.value.hint


def test_sibling_with_the_same_prefix_is_outside(root):
    with pytest.raises(ServingError):
        allowed_path(f"{root}-secret", str(root), [str(root)])


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_path_that_names_nothing_is_invalid(root, path):
    with pytest.raises(ServingError) as caught:
        allowed_path(path, str(root), [str(root)])
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_every_allowed_folder_counts_and_links_to_it_are_followed(root, tmp_path):
    (tmp_path / "alias").symlink_to(tmp_path / "data-secret")
    allowed = [str(root), str(tmp_path / "alias")]
    assert allowed_path("out", str(root), allowed) == str(root / "out")


def test_addresses_of_other_file_systems_are_outside(root):
    with pytest.raises(ServingError):
        check_path("gs://bucket/model", ["/"], "gs://bucket/model")


def test_literal_path_is_read_as_the_system_reads_it(root):
    """`up/..` is the parent of what `up` leads to, not the folder that holds `up`."""
    literal = f"{root}/up/../{root.name}"
    with pytest.raises(ServingError):
        check_path(literal, [str(root)], literal)
