"""Work that begins at once, and goes on where what it waits for comes, without a turn of the event loop between.

asyncio lets a task begin, and go on, in the turn after the one in which it could. With one request under way each turn
is another look at all sockets, between the request and its answer. Imports nothing of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PromptFuture(Generic[T]):
    """A future whose waiters go on within the call that settles it; asyncio's wait for the loop's next turn.

    They wait for it all the same if a task makes that call, since asyncio lets no task into another, and if the future
    is cancelled. May be awaited, gathered and waited for by any task.
    """

    __slots__ = ("_asyncio_future_blocking", "_callbacks", "_error", "_is_done", "_loop", "_result")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._is_done = False
        self._result: T | None = None
        self._error: BaseException | None = None
        self._callbacks: list[tuple[Callable[[PromptFuture[T]], object], Context]] = []

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it belongs to."""
        return self._loop

    def done(self) -> bool:
        """Whether it is settled, one way or the other."""
        return self._is_done

    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return isinstance(self._error, asyncio.CancelledError)

    def result(self) -> T:
        """What it was settled with; raises that if it is an error."""
        if not self._is_done:
            raise asyncio.InvalidStateError("Result is not set.")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def exception(self) -> BaseException | None:
        """The error that it was settled with, if any; CancelledError is raised."""
        if not self._is_done:
            raise asyncio.InvalidStateError("Exception is not set.")
        if self.cancelled():
            self.result()
        return self._error

    def set_result(self, result: T) -> None:
        """Settles it. REQUIRES: it is not settled."""
        self._settle(result, None)

    def set_exception(self, error: BaseException) -> None:
        """Settles it with an error. REQUIRES: it is not settled."""
        self._settle(None, error)

    def cancel(self, msg: object = None) -> bool:
        """Settles it with CancelledError; False if it is settled."""
        if self._is_done:
            return False
        self._is_done, self._error = True, asyncio.CancelledError()
        self._call_later()
        return True

    def add_done_callback(
        self, callback: Callable[[PromptFuture[T]], object], *, context: Context | None = None
    ) -> None:
        """Calls it when this is settled, soon if it is already."""
        self._callbacks.append((callback, copy_context() if context is None else context))
        if self._is_done:
            self._call_later()

    def remove_done_callback(self, callback: Callable[[PromptFuture[T]], object]) -> int:
        """How many times it was there."""
        kept = [one for one in self._callbacks if one[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks = kept
        return removed

    def _settle(self, result: T | None, error: BaseException | None) -> None:
        if self._is_done:
            raise asyncio.InvalidStateError("It is settled already.")
        self._is_done, self._result, self._error = True, result, error
        if not self._callbacks:
            return
        if asyncio.current_task(self._loop) is not None:
            self._call_later()
            return
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            context.run(callback, self)

    def _call_later(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            self._loop.call_soon(callback, self, context=context)

    def __await__(self) -> Generator[PromptFuture[T], None, T]:
        if not self._is_done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()


class Errand:
    """A coroutine that is no task: it runs at once up to its first wait, and goes on within the call that ends the wait.

    It cannot be cancelled or awaited, and `asyncio.current_task` is not it. An error that it leaves is the loop's
    exception handler's, under the name `what`.
    """

    __slots__ = ("_coroutine", "_what")

    def __init__(self, coroutine: Coroutine[Any, Any, None], what: str) -> None:
        self._coroutine = coroutine
        self._what = what
        self._go_on()

    def _go_on(self, _settled: object = None) -> None:
        try:
            awaited = self._coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            return
        except Exception as error:
            context = {"message": f"{self._what} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return
        if awaited is None:
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._go_on)
