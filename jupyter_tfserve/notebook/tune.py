"""`%tfserve tune`: batch settings tried on the live server under real load, compared, and one recommended.

Every setting gets a closed loop, for its throughput, and an open loop at the wanted rate, for its latency. However
it ends, interrupted too, the settings are then what they were, unless the best ones were asked to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.batching import NAMES, with_changes
from jupyter_tfserve.notebook.bench import OPEN_CONNECTIONS, Load, check_answered, load_process
from jupyter_tfserve.notebook.progress import Say
from jupyter_tfserve.notebook.tune_view import tuning_html, tuning_text

TUNE_S: Final = 30.0
MIN_PHASE_S: Final = 0.2
WARM_SHARE: Final = 0.25
"""Of each setting's time: what was learned under the setting before must not be measured."""
RATE_SHARE: Final = 0.7
"""The open loop's rate where none is given, of the first setting's throughput."""
AS_GOOD: Final = 0.97
"""An earlier, simpler setting with this share of the throughput is as good."""
KEPT_UP: Final = 0.95
"""A setting that answers less than this share of the wanted rate can't carry it."""


class BatchingControl(Protocol):
    """The part of the engine's client that is needed here."""

    def batching(self, model: str) -> dict[str, Any]:
        """What is set, what holds, what was learned."""

    def set_batching(self, model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Replaces the settings."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting under load."""

    name: str
    settings: Mapping[str, Any]
    closed: Load
    opened: Load

    @property
    def throughput(self) -> float:
        """Answers per second with as many connections as a batch may have callers."""
        return self.closed.throughput

    @property
    def p99_ms(self) -> float:
        """At the wanted rate."""
        return self.opened.percentile(99)

    def carries(self, rate: float, p99_ms: float | None) -> bool:
        """Whether everything was answered, as fast as it came, within the goal."""
        is_well = self.opened.errors == 0 and self.opened.throughput >= KEPT_UP * rate
        return is_well and (p99_ms is None or self.p99_ms <= p99_ms)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was tried at `rate` requests a second. `is_applied`: the best settings hold now."""

    target: str
    rate: float
    p99_ms: float | None
    trials: tuple[Trial, ...]
    is_applied: bool = False

    @property
    def best(self) -> Trial:
        """The highest throughput of those that keep the goal; where none does, the one that is nearest to it."""
        good = [trial for trial in self.trials if trial.carries(self.rate, self.p99_ms)]
        if not good:
            return min(self.trials, key=lambda trial: (trial.opened.errors, trial.p99_ms))
        most = max(trial.throughput for trial in good)
        return next(trial for trial in good if trial.throughput >= AS_GOOD * most)

    @property
    def is_met(self) -> bool:
        """Whether the best one keeps the goal at that rate."""
        return self.best.carries(self.rate, self.p99_ms)

    def __str__(self) -> str:
        """The table that a terminal shows."""
        return tuning_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": tuning_html(self)}


@dataclass(frozen=True, slots=True)
class TuneWish:
    """What is wanted: `p99_ms` at `rate` requests a second (None: 0.7 of what the server can), within `seconds`."""

    p99_ms: float | None = None
    rate: float | None = None
    seconds: float = TUNE_S
    apply: bool = False


def candidates(p99_ms: float | None) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """The settings that are tried, the simplest first: (name, changes)."""
    goal = () if p99_ms is None else (("learned sizes, with the goal", {"target_p99_ms": p99_ms}),)
    sizes = tuple((f"at most {rows} rows", {"max_batch_size": rows}) for rows in (8, 32, 128))
    # A tenth of the goal may be spent waiting for company.
    wait = int(min(2000.0, 100.0 * p99_ms)) if p99_ms else 1000
    waiting = {"max_batch_size": 128, "batch_timeout_micros": wait}
    return (("learned sizes", {}), *goal, *sizes, (f"128 rows, waiting {wait / 1000:g} ms", waiting))


def tune(
    control: BatchingControl,
    model: str,
    request: tuple[str, bytes],
    wish: TuneWish,
    say: Say,
    target: str = "",
) -> Tuning:
    """Tries every candidate by `request` (URL and body) for about `wish.seconds` in all; blocks.

    INVALID_ARGUMENT with the server's words when it refuses the request.
    """
    before = control.batching(model)["settings"]
    is_kept = False
    try:
        with load_process(*request) as run:
            tuning = _sweep(control, model, before, run, wish, say)
        tuning = replace(tuning, target=target or model, is_applied=wish.apply)
        if wish.apply:
            control.set_batching(model, tuning.best.settings)
            is_kept = True
        return tuning
    finally:
        if not is_kept:
            control.set_batching(model, before)


def _sweep(
    control: BatchingControl,
    model: str,
    before: Mapping[str, Any],
    run: Callable[[Mapping[str, Any]], Load],
    wish: TuneWish,
    say: Say,
) -> Tuning:
    wanted = candidates(wish.p99_ms)
    share_s = wish.seconds / len(wanted)
    phase = {"connections": OPEN_CONNECTIONS, "seconds": max(share_s * (1 - WARM_SHARE) / 2, MIN_PHASE_S)}
    warming = {**phase, "seconds": max(share_s * WARM_SHARE, MIN_PHASE_S)}
    rate, trials = wish.rate, []
    for number, (name, changes) in enumerate(wanted):
        say(f"Trying {name}", number / len(wanted))
        settings = with_changes(before, {**dict.fromkeys(NAMES), **changes})
        if not _is_allowed(control, model, settings):
            continue
        check_answered(run(warming))
        closed = run(phase)
        check_answered(closed)
        rate = rate or max(RATE_SHARE * closed.throughput, 1.0)
        trials.append(Trial(name, settings, closed, run({**phase, "rate": rate})))
    if not trials or rate is None:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "The server's batching parameters allow no other settings.",
            "Start it without --enable_batching, or measure it as it is: `%tfserve bench`.",
        )
    return Tuning(model, rate, wish.p99_ms, tuple(trials))


def _is_allowed(control: BatchingControl, model: str, settings: Mapping[str, Any]) -> bool:
    """Whether the settings hold now: a server with its own batching parameters may not allow them."""
    try:
        control.set_batching(model, settings)
    except ServingError as error:
        if error.code is not Code.INVALID_ARGUMENT:
            raise
        return False
    return True
