"""Whether a request may begin: a token bucket for the rate, a bound on those under way, a slow start.

On the data path this is the step before a model is asked, and costs nothing while no limit is set. Refusing
costs microseconds: no queue, no timer, no thread; a full bucket is arithmetic on the clock. One loop owns it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from jupyter_tfserve.errors import Code, Overloaded
from jupyter_tfserve.lifecycle.limits import FlowLimits

SLOW_START_SHARE: Final = 0.1
"""The part of the rate that a slow start begins with."""
FULL_RETRY_S: Final = 1.0
_ONE: Final = 1.0 - 1e-9
"""A request's price as the bucket compares it: 0.1 s at 10 per second is a whole one, whatever floats say."""


class FlowController:
    """Admits at most `max_request_per_second`, and `max_queue_length` that are not finished. None: no limit.

        controller = FlowController(max_queue_length=64, max_request_per_second=100)
        if controller.add_request():
            try: ...
            finally: controller.finish_request()

    `burst` are the requests that may come at once after a pause (default: one second's worth, at least one);
    `clock` tells seconds that never go back. `what` is who is limited, for the refusal's text.
    """

    def __init__(
        self,
        max_queue_length: int | None,
        max_request_per_second: float | None,
        burst: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        what: str = "This server",
    ) -> None:
        self._max_queue_length = max_queue_length
        self._rate = max_request_per_second
        self._burst = float(burst or max(1.0, max_request_per_second or 1.0))
        self._clock = clock
        self._what = what
        self._tokens = self._burst
        self._updated = clock()
        self._slow_start: tuple[float, float] | None = None
        self._count = 0

    @property
    def request_count(self) -> int:
        """The requests that were admitted and are not finished."""
        return self._count

    def add_request(self) -> bool:
        """Whether one more request may begin now; each that may is ended by one `finish_request`."""
        if self._max_queue_length is not None and self._count >= self._max_queue_length:
            return False
        if self._rate is not None:
            self._refill(self._rate)
            if self._tokens < _ONE:
                return False
            self._tokens -= 1.0
        self._count += 1
        return True

    def finish_request(self) -> None:
        """An admitted request is over, well or badly."""
        self._count -= 1

    def give_back(self) -> None:
        """An admitted request asked nothing of a model after all: its rate counts it not. It is still to be finished."""
        if self._rate is not None:
            self._tokens = min(self._burst, self._tokens + 1.0)

    def has_room(self) -> bool:
        """Whether `add_request` would admit one now; takes nothing."""
        if self._max_queue_length is not None and self._count >= self._max_queue_length:
            return False
        if self._rate is None:
            return True
        self._refill(self._rate)
        return self._tokens >= _ONE

    def refusal(self) -> Overloaded:
        """Why a request is refused now: UNAVAILABLE if too many are under way, else RESOURCE_EXHAUSTED."""
        if self._max_queue_length is not None and self._count >= self._max_queue_length:
            text = f"{self._what} has {self._count} requests under way; the limit is {self._max_queue_length}"
            return Overloaded(Code.UNAVAILABLE, text, FULL_RETRY_S)
        rate = self._rate or 1.0
        wait_s = max(0.0, 1.0 - self._tokens) / (rate * self._share(self._updated))
        text = f"{self._what} takes {rate:g} requests per second"
        return Overloaded(Code.RESOURCE_EXHAUSTED, text, wait_s)

    def begin_slow_start(self, duration_s: float) -> None:
        """From now on the rate rises from a tenth to all of it within `duration_s`; nothing is saved up."""
        if self._rate is not None:
            self._refill(self._rate)
            self._slow_start = (self._updated, duration_s)
            self._tokens = min(self._tokens, 1.0)

    def _refill(self, rate: float) -> None:
        before, now = self._updated, self._clock()
        if now <= before:
            return
        self._updated = now
        share = 1.0
        if self._slow_start is not None:
            # The rate rises in a straight line, so its mean is that of its ends; at the ramp's end a little less.
            share = (self._share(before) + self._share(now)) / 2
        self._tokens = min(self._burst, self._tokens + (now - before) * rate * share)
        if share == 1.0:
            self._slow_start = None

    def _share(self, now: float) -> float:
        if self._slow_start is None:
            return 1.0
        began, duration_s = self._slow_start
        return SLOW_START_SHARE + (1 - SLOW_START_SHARE) * min(1.0, (now - began) / duration_s)


class ModelFlows:
    """The controllers of the models that have limits, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits: dict[str, FlowLimits] = {}
        self._controllers: dict[str, FlowController] = {}

    def configure(self, limits: Mapping[str, FlowLimits]) -> bool:
        """These are the limits from now on; whether there are any. A model whose limits stay keeps its count."""
        kept = {name: c for name, c in self._controllers.items() if limits.get(name) == self._limits[name]}
        self._limits = {name: limit for name, limit in limits.items() if not limit.is_unlimited}
        self._controllers = {
            name: kept.get(name) or flow_controller(limit, f"Model {name}", self._clock)
            for name, limit in self._limits.items()
        }
        return bool(self._controllers)

    def check(self, model: str) -> None:
        """Passes if a request would be admitted now. For what is refused before its body is read."""
        controller = self._controllers.get(model)
        if controller is not None and not controller.has_room():
            raise controller.refusal()

    def admit(self, model: str) -> FlowController | None:
        """What the request is to be finished at, or None if the model has no limits; `Overloaded` if refused."""
        controller = self._controllers.get(model)
        if controller is not None and not controller.add_request():
            raise controller.refusal()
        return controller

    def became_available(self, model: str) -> None:
        """A version of the model serves: its slow start begins, if it has one."""
        limits = self._limits.get(model)
        if limits is not None and limits.slow_start_s is not None:
            self._controllers[model].begin_slow_start(limits.slow_start_s)


def flow_controller(
    limits: FlowLimits, what: str, clock: Callable[[], float] = time.monotonic
) -> FlowController:
    """The controller of these limits; `what` is who is limited, at the start of the refusal's text."""
    return FlowController(limits.max_in_flight, limits.requests_per_second, limits.burst, clock, what)


def retry_after_seconds(error: Overloaded) -> str:
    """The Retry-After header's value: whole seconds, at least one."""
    return str(max(1, math.ceil(error.retry_after_s)))
