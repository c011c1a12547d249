"""errand: who waits goes on within the call that settles what he waits for, and asyncio's own tools work with it."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
import uvloop

from jupyter_tfserve.errand import Errand, PromptFuture

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(request):
    """Runs `scene(loop)` on a new loop."""

    def run(scene):
        loop = request.param()
        try:
            loop.run_until_complete(asyncio.wait_for(scene(loop), 30))
        finally:
            loop.close()

    return run


async def called(loop, callback):
    """Calls it as the loop does, outside of any task; what it returned."""
    done = loop.create_future()
    loop.call_soon(lambda: done.set_result(callback()))
    return await done


async def waiting(future, told):
    told.append("waits")
    try:
        told.append(await future)
    except BaseException as error:
        told.append(type(error))
        raise


async def begun(future, told):
    task = asyncio.ensure_future(waiting(future, told))
    await asyncio.sleep(0)
    assert told == ["waits"]
    return task


def test_task_goes_on_within_the_call_that_settles(play):
    async def scene(loop):
        future, told = PromptFuture(loop), []
        task = await begun(future, told)

        def settle():
            future.set_result(1)
            return list(told)

        assert await called(loop, settle) == ["waits", 1]
        assert task.done()
        assert await future == 1

    play(scene)


def test_task_goes_on_in_its_own_context(play):
    async def scene(loop):
        future, told = PromptFuture(loop), []

        async def asking():
            WHO.set("caller")
            await future
            told.append(WHO.get())

        task = asyncio.ensure_future(asking())
        await asyncio.sleep(0)
        await called(loop, lambda: future.set_result(None))
        assert [told, WHO.get(), task.done()] == [["caller"], "nobody", True]

    play(scene)


def test_task_goes_on_later_when_a_task_settles(play):
    async def scene(loop):
        future, told = PromptFuture(loop), []
        task = await begun(future, told)
        future.set_exception(KeyError("k"))
        assert told == ["waits"]
        with pytest.raises(KeyError):
            await task
        assert isinstance(future.exception(), KeyError)

    play(scene)


def test_future_is_cancelled_with_the_task_that_waits(play):
    async def scene(loop):
        future, told = PromptFuture(loop), []
        task = await begun(future, told)
        task.cancel()
        assert future.done()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [told, future.cancelled(), future.cancel()] == [["waits", asyncio.CancelledError], True, False]
        with pytest.raises(asyncio.CancelledError):
            future.exception()

    play(scene)


def test_future_can_be_gathered_and_waited_for_with_a_limit(play):
    async def scene(loop):
        futures = [PromptFuture(loop) for _ in range(3)]
        for place, future in enumerate(futures):
            loop.call_soon(future.set_result, place)
        assert await asyncio.gather(*futures) == [0, 1, 2]
        assert await asyncio.gather(*futures) == [0, 1, 2]
        late = PromptFuture(loop)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(late, 0.001)
        assert late.cancelled()
        one, other = PromptFuture(loop), PromptFuture(loop)
        loop.call_soon(one.set_result, 1)
        done, pending = await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)
        assert [done, pending, other._callbacks] == [{one}, {other}, []]

    play(scene)


def test_future_says_so_when_it_is_not_settled_or_twice(play):
    async def scene(loop):
        future = PromptFuture(loop)
        for ask in (future.result, future.exception):
            with pytest.raises(asyncio.InvalidStateError):
                ask()
        assert [future.done(), future.cancelled()] == [False, False]
        future.set_result(1)
        with pytest.raises(asyncio.InvalidStateError):
            future.set_result(2)
        assert [future.result(), future.exception()] == [1, None]

    play(scene)


def test_errand_runs_at_once_and_goes_on_within_the_call_that_settles(play):
    async def scene(loop):
        future, told = PromptFuture(loop), []

        def settle():
            Errand(waiting(future, told), "It")
            before = list(told)
            future.set_result(1)
            return before, list(told)

        assert await called(loop, settle) == (["waits"], ["waits", 1])

    play(scene)


def test_errand_waits_for_asyncios_futures_and_turns_too(play):
    async def scene(loop):
        ended, plain = asyncio.Event(), loop.create_future()

        async def work():
            await asyncio.sleep(0)
            await plain
            await asyncio.sleep(0.001)
            ended.set()

        Errand(work(), "It")
        plain.set_result(None)
        await ended.wait()

    play(scene)


def test_errands_error_is_the_exception_handlers(play):
    async def scene(loop):
        future, told, handled = PromptFuture(loop), [], []
        loop.set_exception_handler(lambda _loop, context: handled.append(context))
        Errand(waiting(future, told), "It")
        error = OSError()
        await called(loop, lambda: future.set_exception(error))
        assert handled == [{"message": "It failed", "exception": error}]

    play(scene)


def test_errand_ends_when_what_it_waits_for_is_cancelled(play):
    async def scene(loop):
        future, told, handled = PromptFuture(loop), [], []
        loop.set_exception_handler(lambda _loop, context: handled.append(context))
        Errand(waiting(future, told), "It")
        future.cancel()
        await asyncio.sleep(0)
        assert [told, handled] == [["waits", asyncio.CancelledError], []]

    play(scene)
