"""Where experiments are made: our engine alone, its models, and turns of load on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from jupyter_tfserve.engine.connection import Connection
from tests.benchmarks.calls import Call, rest_predict
from tests.benchmarks.figures import Sample
from tests.benchmarks.loads import NoLoad, closed_loop, open_loop
from tests.benchmarks.machine import settle
from tests.benchmarks.models import Model
from tests.benchmarks.serving import wait_right
from tests.benchmarks.side_by_side import Pace
from tests.benchmarks.targets import Setting, our_engine

OPEN_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Lab:
    """`is_quick` leaves the largest sizes out."""

    setting: Setting
    pace: Pace
    is_quick: bool

    def model(self, name: str) -> Model:
        """A model by its name."""
        return self.setting.model(name)

    def closed(self, calls: list[Call], connections: int, seconds: float | None = None) -> Sample:
        """One closed turn. NoLoad if anything was answered wrong."""
        settle(self.setting.cores.server)
        taken_s, cores = seconds or self.pace.seconds, self.setting.cores.load
        try:
            return _right(closed_loop(calls, connections, taken_s, cores))
        except NoLoad:
            # On a machine that does something else a turn may be too short for a single answer.
            return _right(closed_loop(calls, connections, 5 * taken_s, cores))

    def open(self, call: Call, rate: float, seconds: float | None = None) -> Sample:
        """One open turn. NoLoad if anything was answered wrong."""
        settle(self.setting.cores.server)
        taken_s = seconds or self.pace.seconds
        return _right(open_loop([call], OPEN_CONNECTIONS, taken_s, rate, self.setting.cores.load))

    @contextlib.contextmanager
    def engine(self, models: list[Model], cores: tuple[int, ...] | None = None) -> Iterator[Connection]:
        """Our engine with these models, all of them answering."""
        with our_engine(self.setting, models, cores=cores) as (process, log, connection):
            for one in models:
                wait_right(process, log, call_of(connection, one), one.expected)
            yield connection


def call_of(connection: Connection, model: Model) -> Call:
    """The REST call for a row of the model."""
    return rest_predict(connection.rest_url or "", model.name, model.row)


def _right(sample: Sample) -> Sample:
    if sample.errors:
        raise NoLoad(f"{sample.errors} of {sample.answers} answers were wrong")
    return sample
