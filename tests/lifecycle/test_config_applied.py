"""A person's configuration and a config file at the start, on a real core with fake loaders: what is told, and when."""

from __future__ import annotations

import logging

from jupyter_tfserve.dataplane.predict import DataPlane
from jupyter_tfserve.engine.config_calls import apply_text
from jupyter_tfserve.engine.initial_models import ConfigFile
from jupyter_tfserve.errors import Code
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.config_proto import message_from_models
from tests.lifecycle.core_calls import refusal

NO_LIMIT_S = 60.0


def text_of(base, *names: str, more: str = "") -> str:
    entries = (
        f'config {{ name: "{name}" base_path: "{base / name}" model_platform: "tensorflow" {more}}}'
        for name in names
    )
    return "model_config_list {\n" + "\n".join(entries) + "\n}"


def served(core) -> list[str]:
    return [state.config.name for state in core.states()]


async def test_config_is_refused_and_nothing_changes_when_a_base_path_is_not_there(core, base, make_version):
    make_version(base / "m", 1)
    assert await apply_text(core, text_of(base, "m"), NO_LIMIT_S) == ()
    error = await refusal(apply_text(core, text_of(base, "n", "typo"), NO_LIMIT_S))
    assert error.code is Code.NOT_FOUND
    assert error.message.startswith(f"base_path '{base}/n' of model n does not exist")
    assert "line 2, config[0]" in error.hint
    assert served(core) == ["m"]


async def test_config_is_taken_when_the_folder_of_a_served_model_is_away(core, base, make_version):
    make_version(base / "m", 1)
    await apply_text(core, text_of(base, "m"), NO_LIMIT_S)
    (base / "m").rename(base / "away")
    make_version(base / "n", 1)
    assert await apply_text(core, text_of(base, "m", "n"), NO_LIMIT_S) == ()
    assert served(core) == ["m", "n"]


async def test_config_is_answered_with_a_note_when_a_model_has_no_version(core, base):
    (base / "m").mkdir(parents=True)
    (note,) = await apply_text(core, text_of(base, "m"), NO_LIMIT_S)
    assert "m has no version yet" in note


async def test_config_is_answered_with_a_note_when_a_model_takes_too_long(core, base, loaders, make_version):
    make_version(base / "m", 1)
    loaders.is_holding = True
    (note,) = await apply_text(core, text_of(base, "m"), 0.01)
    assert "m is still being loaded" in note
    assert served(core) == ["m"]


async def test_what_was_applied_is_told_when_a_model_fails(core, base, loaders, make_version):
    for name in ("m", "n"):
        make_version(base / name, 1)
    loaders.fail(1, "no graph")
    error = await refusal(apply_text(core, text_of(base, "m", "n"), NO_LIMIT_S))
    assert error.code is Code.UNKNOWN
    assert error.message == (
        "1 servable(s) did not become available: {{{name: m version: 1} due to error: NOT_FOUND: no graph}, }"
    )
    assert "applied all the same: it serves m, n" in error.hint
    assert served(core) == ["m", "n"]


async def test_place_and_next_step_are_told_when_a_label_is_refused(core, base, make_version):
    make_version(base / "m", 1)
    text = text_of(base, "m", more='version_labels { key: "stable" value: 123 } ')
    error = await refusal(apply_text(core, text, NO_LIMIT_S))
    assert error.code is Code.FAILED_PRECONDITION
    assert error.hint.startswith(
        "See line 2, config[0]. No version of m is loaded yet. Serve it without the label"
    )


async def test_entry_is_told_in_the_hint_alone_when_a_reload_is_refused(core, base):
    message = message_from_models(ModelConfig(name, f"{base}/{name}") for name in ("m", "n", "m"))
    error = await refusal(DataPlane(core).reload_config(message))
    assert error.message == "Illegal to list model m multiple times in config list"
    assert error.hint == "See config[2]."


async def test_file_line_and_next_step_are_logged_when_the_start_refuses_a_config(core, base, caplog):
    text = text_of(base, "m", "n", "m")
    with caplog.at_level(logging.ERROR):
        await ConfigFile("/etc/models.config", text, 0, None).follow(core)
    (record,) = caplog.records
    told = record.getMessage()
    assert "PollFilesystem" not in told
    assert "'/etc/models.config' was refused" in told
    assert "Illegal to list model m multiple times in config list" in told
    assert "line 4, config[2]" in told
    assert "start the server again" in told
