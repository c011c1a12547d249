"""A body between two sockets: in order, bounded, and nobody waits for one who left."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.extension.body_pipe import MAX_WAITING_CHUNKS, BodyPipe


async def drain(pipe):
    return [chunk async for chunk in pipe.read()]


@given(st.lists(st.binary(max_size=20), max_size=30))
def test_body_comes_out_as_it_went_in(chunks):
    async def pass_through():
        pipe = BodyPipe()
        reading = asyncio.ensure_future(drain(pipe))
        for chunk in chunks:
            await pipe.write(chunk)
        await pipe.end()
        return await reading

    assert asyncio.run(pass_through()) == chunks


async def test_writer_waits_when_the_reader_is_slow():
    pipe = BodyPipe()
    for _ in range(MAX_WAITING_CHUNKS):
        await pipe.write(b"x")
    writing = asyncio.ensure_future(pipe.write(b"y"))
    await asyncio.sleep(0)
    assert not writing.done()
    reader = pipe.read()
    await anext(reader)
    await writing
    await reader.aclose()


async def test_waiting_writer_is_let_go_when_the_reader_leaves():
    pipe = BodyPipe()
    for _ in range(MAX_WAITING_CHUNKS):
        await pipe.write(b"x")
    writing = asyncio.ensure_future(pipe.write(b"y"))
    await asyncio.sleep(0)
    pipe.leave()
    await asyncio.wait_for(writing, 5)
    for _ in range(10 * MAX_WAITING_CHUNKS):
        await asyncio.wait_for(pipe.write(b"z"), 5)
    await asyncio.wait_for(pipe.end(), 5)
