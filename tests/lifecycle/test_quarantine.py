"""What is held against a version, how long, and that it outlives the engine."""

from __future__ import annotations

import shutil

import pytest

from jupyter_tfserve.errors import Code, ModelDied, ModelHung, ServingError
from jupyter_tfserve.lifecycle import quarantine as quarantine_module
from jupyter_tfserve.lifecycle.quarantine import FILE_NAME, Deaths, Quarantine
from jupyter_tfserve.types import ServableId

ONE, TWO = ServableId("m", 1), ServableId("m", 2)
DIED = ModelDied(Code.INTERNAL, "worker process died while loading (signal 6, aborted)")
HUNG = ModelHung(Code.DEADLINE_EXCEEDED, "Loading servable m:2 took longer than 300 s")


@pytest.fixture
def restarted(tmp_path):
    """`await restarted()`: the quarantine as the next engine finds it."""

    async def make():
        quarantine = Quarantine(tmp_path)
        await quarantine.open()
        return quarantine

    return make


async def die_while_loading(quarantine, servable=TWO, fingerprint="f"):
    assert await quarantine.load_begins(servable, fingerprint) is None
    error = quarantine.load_failed(servable, DIED)
    quarantine.load_ended(servable, is_good=False)
    await quarantine.close()
    return error


async def test_version_is_given_up_when_two_loads_end_in_a_death(restarted):
    """F6: at most two deaths, also when the engine is another one each time."""
    assert (await die_while_loading(await restarted())).message == DIED.message
    error = await die_while_loading(await restarted())
    assert error.message == f"Quarantined after 2 deaths while it was loaded; the last: {DIED.message}"
    again = await restarted()
    assert again.given_up("m") == {2: "f"}
    refused = await again.load_begins(TWO, "f")
    assert (refused.code, refused.message) == (Code.UNAVAILABLE, error.message)
    assert await again.load_begins(ONE, "f") is None


async def test_version_is_given_up_when_two_loads_come_to_no_end(restarted):
    """F8: a load that hangs or spins is ended from outside, and counts as one that died of itself."""
    quarantine = await restarted()
    for last in (HUNG.message, f"Quarantined after 2 deaths while it was loaded; the last: {HUNG.message}"):
        assert await quarantine.load_begins(TWO, "f") is None
        error = quarantine.load_failed(TWO, HUNG)
        quarantine.load_ended(TWO, is_good=False)
        assert (error.code, error.message) == (Code.DEADLINE_EXCEEDED, last)
    assert quarantine.given_up("m") == {2: "f"}


async def test_version_is_given_up_when_four_engines_ended_while_they_loaded_it(restarted):
    for _ in range(4):
        assert await (await restarted()).load_begins(TWO, "f") is None
    refused = await (await restarted()).load_begins(TWO, "f")
    assert refused.message == "Quarantined after 4 deaths while it was loaded; the last: the engine ended too"


async def test_load_that_ends_forgets_the_engines_before_it(restarted):
    """An engine that is killed now and then, while it loads, keeps its good versions."""
    for _ in range(9):
        assert await (await restarted()).load_begins(TWO, "f") is None
        quarantine = await restarted()
        assert await quarantine.load_begins(TWO, "f") is None
        quarantine.load_ended(TWO, is_good=True)
        await quarantine.close()
    assert (await restarted()).given_up("m") == {}


async def test_good_load_forgets_the_deaths_before_it(restarted):
    quarantine = await restarted()
    await die_while_loading(quarantine)
    assert await quarantine.load_begins(TWO, "f") is None
    quarantine.load_ended(TWO, is_good=True)
    await quarantine.close()
    await die_while_loading(await restarted())
    assert (await restarted()).given_up("m") == {}


async def test_error_that_killed_nobody_does_not_count(restarted):
    quarantine, error = await restarted(), ServingError(Code.NOT_FOUND, "no model")
    for _ in range(5):
        assert await quarantine.load_begins(TWO, "f") is None
        assert quarantine.load_failed(TWO, error) is error
        quarantine.load_ended(TWO, is_good=False)
    assert quarantine.given_up("m") == {}


@pytest.mark.parametrize("by", ["other files", "a person"])
async def test_version_is_tried_again_when_something_changed(restarted, by):
    quarantine = await restarted()
    quarantine.give_up(TWO, "f", "it died")
    if by == "a person":
        quarantine.lift(TWO)
    await quarantine.close()
    again = await restarted()
    assert again.refusal(TWO, "f" if by == "a person" else "other") is None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format": 1, "versions": [{"model": 1}]}', b"\xff", b"[]"]
)
async def test_file_that_cannot_be_understood_is_none(restarted, tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    assert (await restarted()).given_up("m") == {}


async def test_load_goes_on_when_the_mark_cannot_be_saved(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    quarantine = Quarantine(tmp_path / "file" / "state")
    assert await quarantine.load_begins(TWO, "f") is None
    assert "the quarantine cannot be saved" in caplog.text


async def test_folder_that_cannot_be_written_is_told_once_until_it_can_be(tmp_path, caplog):
    parent = tmp_path / "file"
    quarantine = Quarantine(parent / "state")

    async def load() -> None:
        assert await quarantine.load_begins(TWO, "f") is None
        quarantine.load_ended(TWO, is_good=True)
        await quarantine.close()

    for _ in range(2):
        parent.write_text("")
        for _ in range(3):
            await load()
        parent.unlink()
        await load()
        shutil.rmtree(parent)
    assert caplog.text.count("the quarantine cannot be saved") == 2


async def test_deaths_count_and_nothing_is_logged_when_the_folder_is_read_only_from_the_start(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(quarantine_module, "why_read_only", lambda _: "Read-only file system")
    quarantine = Quarantine(tmp_path)
    await quarantine.open()
    for _ in range(2):
        error = await die_while_loading(quarantine)
    assert error.message.startswith("Quarantined after 2 deaths")
    assert caplog.text == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limit", "times", "expected"),
    [
        (2, [0, 60], True),
        (2, [0, 60.1], False),
        (3, [0, 30, 61], False),
        (3, [0, 30, 61, 62], True),
        (1, [5], True),
    ],
)
def test_deaths_are_too_many_when_the_window_holds_the_limit(limit, times, expected):
    deaths = Deaths(limit, 60)
    assert [deaths.are_too_many(now) for now in times][-1] is expected


def test_deaths_are_never_too_many_when_the_limit_is_off():
    deaths = Deaths(0, 60)
    assert not any(deaths.are_too_many(0) for _ in range(100))
