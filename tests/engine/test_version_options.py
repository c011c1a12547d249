"""What a version's folder says about its batching and its session."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from jupyter_tfserve.codec.session_config import session_config_class
from jupyter_tfserve.engine.version_options import (
    BATCHING_FILE,
    SAVED_MODEL_CONFIG,
    batch_options,
    session_config,
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


META_OPTIMIZER_OFF = b"\x0a\x02\x18\x01"
REWRITERS = b"\x0a\x08\x0a\x01x\x12\x01x\x18\x01\x18\x01"


@pytest.mark.parametrize(
    ("content", "disabled", "level", "words"),
    [
        (None, False, 0, ""),
        (b"", False, 0, ""),
        (META_OPTIMIZER_OFF, True, 0, ""),
        (
            REWRITERS,
            True,
            logging.INFO,
            "no effect here has remote_op_remap_config, batch_op_rewriter_config, critical",
        ),
        (b"\x18\x01", False, logging.INFO, "no effect here has critical"),
        (b"\xff\xff no message", False, logging.WARNING, "it is no SavedModelConfig"),
    ],
)
def test_saved_model_config_overrides_the_session_and_fails_nothing(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
    disabled: bool,
    level: int,
    words: str,
) -> None:
    if content is not None:
        (tmp_path / SAVED_MODEL_CONFIG).parent.mkdir()
        (tmp_path / SAVED_MODEL_CONFIG).write_bytes(content)
    with caplog.at_level(logging.INFO):
        config = session_config_class().FromString(session_config(tmp_path, b"\x38\x01"))
    assert config.graph_options.rewrite_options.disable_meta_optimizer is disabled
    assert config.allow_soft_placement  # what was configured stays
    assert [record.levelno for record in caplog.records] == ([level] if level else [])
    assert words in caplog.text


def test_session_overrides_win_when_they_say_no(tmp_path: Path) -> None:
    """As upstream: overrides that are there set the optimizer, also back to its default."""
    configured = session_config_class()()
    configured.graph_options.rewrite_options.disable_meta_optimizer = True
    (tmp_path / SAVED_MODEL_CONFIG).parent.mkdir()
    (tmp_path / SAVED_MODEL_CONFIG).write_bytes(b"\x0a\x00")
    read = session_config_class().FromString(session_config(tmp_path, configured.SerializeToString()))
    assert not read.graph_options.rewrite_options.disable_meta_optimizer


def test_unreadable_saved_model_config_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / SAVED_MODEL_CONFIG).mkdir(parents=True)
    assert session_config(tmp_path, b"x") == b"x"
    assert "is not used" in caplog.text
