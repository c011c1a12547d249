"""A peer that dies, cannot start or answers wrong costs itself its place, and nobody else's."""

from __future__ import annotations

import contextlib

import pytest

from tests.benchmarks.fleet import Fleet
from tests.benchmarks.serving import NotInstalled, NotStarted
from tests.benchmarks.targets import Target
from tests.benchmarks.workloads import WORKLOADS

ONE, OTHER = WORKLOADS[:2]


class StandIn:
    """A server whose every start is told by `opens`; `answers` says which of the workloads it can answer."""

    def __init__(self, name: str, failure: NotStarted | None = None, fails: int = 99) -> None:
        self.name, self.failure, self.fails = name, failure, fails
        self.opened = self.closed = 0
        self.answers = {ONE.name, OTHER.name}

    def prepare(self, workload) -> None:
        if workload.name not in self.answers:
            raise NotStarted(f"no answer to {workload.name}")

    def turn(self, _workload, _connections, _seconds) -> None:
        raise AssertionError("the fleet measures nothing")

    def target(self) -> Target:
        @contextlib.contextmanager
        def opened():
            self.opened += 1
            if self.failure is not None and self.opened <= self.fails:
                raise self.failure
            yield self
            self.closed += 1

        return Target(self.name, opened, lambda _workload, connections: connections == 64)


@pytest.fixture
def said():
    return []


def test_fleet_starts_each_once_for_all_workloads_and_ends_it(said) -> None:
    one, other = StandIn("one"), StandIn("other")
    with Fleet([one.target(), other.target()], said.append) as fleet:
        for workload in (ONE, OTHER):
            ready, absent = fleet.ready(workload, 64)
            assert (list(ready), absent) == (["one", "other"], {})
        assert fleet.ready(ONE, 1) == ({}, {})
    assert (one.opened, one.closed, other.opened, other.closed) == (1, 1, 1, 1)
    assert said == ["one is up", "other is up"]


@pytest.mark.parametrize(("kind", "starts"), [(NotInstalled, 1), (NotStarted, 2)])
def test_fleet_names_who_cannot_start_and_tries_twice_what_is_there(said, kind, starts) -> None:
    broken = StandIn("broken", kind("no module"))
    with Fleet([broken.target(), StandIn("one").target()], said.append) as fleet:
        for workload in (ONE, OTHER):
            ready, absent = fleet.ready(workload, 64)
            assert (list(ready), absent) == (["one"], {"broken": "no module"})
    assert broken.opened == starts
    assert said[0] == "broken takes no part: no module"


def test_fleet_starts_one_again_alone_when_it_could_not_beside_others(said) -> None:
    slow = StandIn("slow", NotStarted("timed out"), fails=1)
    with Fleet([slow.target(), StandIn("one").target()], said.append) as fleet:
        assert list(fleet.ready(ONE, 64)[0]) == ["slow", "one"]
    assert said[0] == "slow is up"


def test_fleet_starts_one_again_for_the_next_workload_when_it_has_broken_at_another(said) -> None:
    peer = StandIn("peer")
    with Fleet([peer.target()], said.append) as fleet:
        peer.answers = {OTHER.name}
        assert fleet.ready(ONE, 64) == ({}, {"peer": f"no answer to {ONE.name}"})
        assert (peer.opened, peer.closed) == (2, 1)
        assert fleet.ready(OTHER, 64) == ({"peer": peer}, {})
        assert peer.opened == 2


def test_fleet_gives_up_one_that_breaks_every_time(said) -> None:
    peer = StandIn("peer")
    peer.answers = set()
    with Fleet([peer.target()], said.append) as fleet:
        for _ in range(6):
            assert fleet.ready(ONE, 64) == ({}, {"peer": f"no answer to {ONE.name}"})
    assert (peer.opened, peer.closed) == (3, 3)
