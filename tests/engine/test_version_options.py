"""What a version's folder says about its batching."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jupyter_tfserve.engine.version_options import (
    BATCHING_FILE,
    SAVED_MODEL_CONFIG,
    batch_options,
    note_saved_model_config,
)
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions, EngineOptions

GLOBAL = BatchOptions(max_batch_size=99, strict=True)
PER_MODEL = EngineOptions(batching=GLOBAL, enable_per_model_batching_parameters=True)


def test_global_options_hold_when_per_model_ones_are_off(tmp_path: Path) -> None:
    (tmp_path / BATCHING_FILE).write_text("max_batch_size { value: 7 }")
    assert batch_options(tmp_path, EngineOptions(batching=GLOBAL)) is GLOBAL


def test_versions_own_file_replaces_the_global_options(tmp_path: Path) -> None:
    (tmp_path / BATCHING_FILE).write_text("max_batch_size { value: 7 }")
    options = batch_options(tmp_path, PER_MODEL)
    assert (options.enabled, options.strict, options.max_batch_size) == (True, True, 7)


def test_version_without_a_file_is_not_batched(tmp_path: Path) -> None:
    options = batch_options(tmp_path, PER_MODEL)
    assert (options.enabled, options.strict) == (False, False)


@pytest.mark.parametrize("content", [b"max_batch_size: 7", b"\xff\xfe"])
def test_file_that_is_no_message_fails_the_load(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / BATCHING_FILE
    file.write_bytes(content)
    with pytest.raises(ServingError) as caught:
        batch_options(tmp_path, PER_MODEL)
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        f"Invalid protobuf file: '{file}'",
    )


def test_file_that_cannot_be_read_fails_the_load(tmp_path: Path) -> None:
    (tmp_path / BATCHING_FILE).mkdir()
    with pytest.raises(ServingError, match="Can't read") as caught:
        batch_options(tmp_path, PER_MODEL)
    assert caught.value.code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("content", "level", "words"),
    [
        (None, 0, ""),
        (b"", 0, ""),
        (b"\x18\x01", logging.INFO, "has no effect"),
        (b"\xff\xff no message", logging.WARNING, "it is no SavedModelConfig"),
    ],
)
def test_saved_model_config_is_told_about_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None, level: int, words: str
) -> None:
    if content is not None:
        (tmp_path / SAVED_MODEL_CONFIG).parent.mkdir()
        (tmp_path / SAVED_MODEL_CONFIG).write_bytes(content)
    with caplog.at_level(logging.INFO):
        note_saved_model_config(tmp_path)
    assert [record.levelno for record in caplog.records] == ([level] if level else [])
    assert words in caplog.text


def test_unreadable_saved_model_config_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / SAVED_MODEL_CONFIG).mkdir(parents=True)
    note_saved_model_config(tmp_path)
    assert "is not used" in caplog.text
