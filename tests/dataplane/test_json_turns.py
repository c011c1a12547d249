"""JsonTurns: where large JSON bodies are decoded, and who has a turn between two of them."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_tfserve.dataplane import json_turns
from jupyter_tfserve.dataplane.json_turns import OWN_TURN_BYTES, THREAD_BYTES, JsonTurns
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import LimitOptions


def body_of(size: int, last: str = "1") -> bytes:
    return b'{"instances": [' + b"0.5, " * (size // 5) + last.encode() + b"]}"


@pytest.mark.parametrize(
    ("body", "in_thread"),
    [
        (body_of(OWN_TURN_BYTES), False),
        (body_of(OWN_TURN_BYTES, '"text"'), True),
        (body_of(OWN_TURN_BYTES, "NaN"), True),
        (body_of(THREAD_BYTES), True),
    ],
)
async def test_body_goes_to_a_thread_when_decoding_may_take_longer_than_a_turn(
    body: bytes, in_thread: bool
) -> None:
    document, is_binding_slow = await JsonTurns(LimitOptions()).parse(body)
    assert is_binding_slow is in_thread
    assert len(document.document.tree["instances"]) == body.count(b",") + 1


async def test_broken_body_is_refused_in_upstreams_words_when_large() -> None:
    with pytest.raises(ServingError, match="JSON Parse error"):
        await JsonTurns(LimitOptions()).parse(body_of(OWN_TURN_BYTES)[:-2])


async def test_others_have_their_turn_between_two_large_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    real = json_turns.parse_buffers

    def noted(body: bytes, limits: LimitOptions):
        happened.append("large")
        return real(body, limits)

    async def others() -> None:
        while True:
            happened.append("other")
            await asyncio.sleep(0)

    monkeypatch.setattr(json_turns, "parse_buffers", noted)
    turns = JsonTurns(LimitOptions())
    other = asyncio.ensure_future(others())
    await asyncio.gather(*(turns.parse(body_of(OWN_TURN_BYTES)) for _ in range(5)))
    other.cancel()
    assert happened.count("large") == 5
    assert "large large" not in " ".join(happened)


async def test_turns_go_on_when_one_who_waits_for_his_has_gone() -> None:
    turns = JsonTurns(LimitOptions())
    waiting = [asyncio.ensure_future(turns.parse(body_of(OWN_TURN_BYTES))) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    waiting[2].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(result, tuple) for result in results] == [True, False, False, True]
    await turns.parse(body_of(OWN_TURN_BYTES))
