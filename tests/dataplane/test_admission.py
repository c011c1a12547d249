"""Admission by a virtual clock: rates, bursts, bounds, slow starts, and what a refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve import FlowController
from jupyter_tfserve.dataplane.admission import ModelFlows, retry_after_seconds
from jupyter_tfserve.errors import Code, Overloaded
from jupyter_tfserve.lifecycle.limits import FlowLimits


class VirtualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


def admitted(controller: FlowController, tries: int) -> int:
    """How many of so many tries at this moment are let in, each over at once."""
    count = 0
    for _ in range(tries):
        if controller.add_request():
            controller.finish_request()
            count += 1
    return count


def test_burst_is_let_in_and_then_the_rate(clock):
    controller = FlowController(None, 10, burst=3, clock=clock)
    assert admitted(controller, 9) == 3
    clock.now += 0.1
    assert admitted(controller, 9) == 1
    clock.now += 60
    assert admitted(controller, 9) == 3


def test_burst_is_one_seconds_worth_when_it_is_not_given(clock):
    assert admitted(FlowController(None, 7, clock=clock), 99) == 7
    assert admitted(FlowController(None, 0.2, clock=clock), 99) == 1


def test_request_count_is_bounded_until_requests_finish(clock):
    controller = FlowController(2, None, clock=clock)
    assert [controller.add_request() for _ in range(3)] == [True, True, False]
    assert controller.request_count == 2
    assert controller.refusal().code is Code.UNAVAILABLE
    controller.finish_request()
    assert controller.add_request()
    assert controller.request_count == 2


def test_refusal_tells_when_the_next_one_is_let_in(clock):
    controller = FlowController(None, 0.1, clock=clock, what="Model m")
    assert controller.add_request()
    clock.now += 4
    assert not controller.add_request()
    refusal = controller.refusal()
    assert (refusal.code, refusal.message) == (
        Code.RESOURCE_EXHAUSTED,
        "Model m takes 0.1 requests per second",
    )
    assert refusal.retry_after_s == pytest.approx(6)
    assert retry_after_seconds(refusal) == "6"
    clock.now += 6.001
    assert controller.add_request()


def test_clock_that_goes_back_gives_nothing(clock):
    controller = FlowController(None, 10, burst=1, clock=clock)
    assert admitted(controller, 2) == 1
    clock.now -= 50
    assert admitted(controller, 2) == 0


def test_slow_start_raises_the_rate_from_a_tenth(clock):
    controller = FlowController(None, 100, burst=10, clock=clock)
    controller.begin_slow_start(10)
    seconds = []
    for _ in range(12):
        count = 0
        for _ in range(100):
            clock.now += 0.01
            count += admitted(controller, 3)
        seconds.append(count)
    # The line from 10 to 100 requests a second, at the middle of each second.
    wanted = [14.5, 23.5, 32.5, 41.5, 50.5, 59.5, 68.5, 77.5, 86.5, 95.5, 100, 100]
    assert seconds == pytest.approx(wanted, abs=2)


def test_slow_start_takes_back_what_was_saved_up(clock):
    controller = FlowController(None, 100, burst=50, clock=clock)
    controller.begin_slow_start(10)
    assert admitted(controller, 50) == 1


@given(
    st.floats(0.1, 1000),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 40)), max_size=40),
)
def test_no_more_than_burst_and_rate_is_ever_let_in(rate, burst, steps):
    clock = VirtualClock()
    controller = FlowController(None, rate, burst=burst, clock=clock)
    total = 0
    for pause, tries in steps:
        clock.now += pause
        had_room = controller.has_room()
        count = admitted(controller, tries)
        assert had_room == (count > 0)
        total += count
    assert total <= burst + (clock.now - 100) * rate + 1e-6
    assert controller.request_count == 0


def test_models_are_limited_apart_and_keep_their_count_when_others_change(clock):
    flows = ModelFlows(clock)
    one = FlowLimits(max_in_flight=1)
    assert flows.configure({"a": one, "b": FlowLimits()}) is True
    held = flows.admit("a")
    assert flows.admit("b") is None
    flows.check("b")
    with pytest.raises(Overloaded, match="Model a has 1 requests under way; the limit is 1"):
        flows.check("a")
    flows.configure({"a": one, "b": one})
    with pytest.raises(Overloaded):
        flows.admit("a")
    held.finish_request()
    flows.check("a")
    assert flows.configure({}) is False
    assert flows.admit("a") is None


def test_slow_start_begins_when_a_version_became_available(clock):
    flows = ModelFlows(clock)
    flows.configure({"a": FlowLimits(100, slow_start_s=10), "b": FlowLimits(100)})
    for name in ("a", "b", "c"):
        flows.became_available(name)
    assert flows.admit("a") is not None
    with pytest.raises(Overloaded):
        flows.admit("a")
    assert all(flows.admit("b") for _ in range(100))
