"""The attempts to load a version: as many as are allowed, on record with the quarantine, with pauses between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.clock import Clock, sleep_or_event
from jupyter_tfserve.lifecycle.quarantine import Quarantine
from jupyter_tfserve.lifecycle.states import Harness, LoaderT
from jupyter_tfserve.options import LifecycleOptions
from jupyter_tfserve.types import ServableId

log = logging.getLogger(__name__)


class LoadAttempts(Generic[LoaderT]):
    """Loads versions, each until it succeeds, is given up or is not aspired any more. Event loop only.

    A version that pauses between two attempts gives its slot to other loads: a broken one must not keep good ones
    waiting. `has_slot` says whether one is free for it again; `on_pause` is called when its own is.
    `on_failed` is told of each attempt that will be repeated.
    """

    def __init__(
        self,
        options: LifecycleOptions,
        clock: Clock,
        quarantine: Quarantine,
        has_slot: Callable[[], bool],
        on_pause: Callable[[], None],
        on_failed: Callable[[Harness[LoaderT], str], None],
    ) -> None:
        self.paused = 0
        self._options = options
        self._clock = clock
        self._quarantine = quarantine
        self._has_slot = has_slot
        self._on_pause = on_pause
        self._on_failed = on_failed
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Whoever waits between two attempts looks again: whether it is still wanted, and has a slot."""
        self._news.set()
        self._news = asyncio.Event()

    async def load(self, harness: Harness[LoaderT]) -> ServingError | None:
        """None, or why the version did not load; the load is on record with the quarantine meanwhile."""
        quarantine, servable = self._quarantine, harness.id
        error = await quarantine.load_begins(servable, harness.aspired.fingerprint)
        if error is None:
            try:
                error = await self._attempts(harness)
            finally:
                quarantine.load_ended(servable, is_good=error is None)
        return error

    async def _attempts(self, harness: Harness[LoaderT]) -> ServingError | None:
        attempts = max(0, self._options.max_num_load_retries) + 1
        for attempt in range(1, attempts + 1):
            harness.error = None
            error = await attempt_step(harness.id, harness.loader.load())
            if error is not None:
                error = self._quarantine.load_failed(harness.id, error)
            if error is None or attempt == attempts or self._is_given_up(harness):
                break
            self._on_failed(harness, f"Attempt {attempt} of {attempts} to load failed: {error.message}")
            await self._pause(harness)
            if not harness.is_aspired:
                break
        return error

    def _is_given_up(self, harness: Harness[LoaderT]) -> bool:
        return self._quarantine.refusal(harness.id, harness.aspired.fingerprint) is not None

    async def _pause(self, harness: Harness[LoaderT]) -> None:
        """Returns after the retry interval, in a slot again, or as soon as the version is not aspired."""
        deadline = self._clock.monotonic() + self._options.load_retry_interval_micros / 1e6
        self.paused += 1
        try:
            self._on_pause()
            while harness.is_aspired:
                left = deadline - self._clock.monotonic()
                if left <= 0 and self._has_slot():
                    break
                await sleep_or_event(self._clock, left if left > 0 else None, self._news)
        finally:
            self.paused -= 1


async def attempt_step(servable: ServableId, step: Coroutine[Any, Any, None]) -> ServingError | None:
    """None if the loader's step succeeds, else its error in a form that may leave the process."""
    try:
        await step
    except ServingError as error:
        return error
    except Exception as error:
        # Broken SavedModels raise six and more unrelated types; none of them may end the manager.
        log.exception("loader of %s failed", servable)
        return ServingError(Code.UNKNOWN, f"The loader failed with {type(error).__name__}")
    return None
