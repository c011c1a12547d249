"""Markdown of what a run found. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.benchmarks.figures import Sample, Spread, spread
from tests.benchmarks.promises import Promise, Told
from tests.benchmarks.side_by_side import Findings, Result
from tests.benchmarks.workloads import WORKLOADS, Workload

_TITLES = {workload.name: workload.title for workload in WORKLOADS}
_BUSY_LOAD = 0.9
_QUIET_SHARE = 0.05
_REASON_LENGTH = 160


def promise_table(kept: Iterable[tuple[Promise, Told | None, Told | None]]) -> str:
    """Each promise, what it came to in the turns, and whether it was kept."""
    rows = [
        [
            promise.text + (f" ({told.rival})" if told is not None and told.rival else ""),
            _bound(promise),
            _between(told),
            _verdict(promise, told),
            "" if by_cpu is None else _ratio(by_cpu.value),
        ]
        for promise, told, by_cpu in kept
    ]
    return _table(["promise", "bound", "median (lowest to highest)", "", "by processor time"], rows)


def comparison(findings: Findings) -> list[str]:
    """Everybody at what everybody was asked: rates, processor time, latencies, and the open loops."""
    shared = [
        (workload, connections)
        for workload in WORKLOADS
        for connections in workload.peer_connections
        if not workload.rate and any(_at(findings, workload, connections))
    ]
    opened = [(one, one.connections[0]) for one in WORKLOADS if one.rate]
    opened = [(one, connections) for one, connections in opened if any(_at(findings, one, connections))]
    if not shared and not opened:
        return []

    def matrix(title: str, columns: Sequence[tuple[Workload, int]], cell: Callable[[Result], str]) -> str:
        names = dict.fromkeys(one.target for column in columns for one in _at(findings, *column))
        rows = [
            [name, *(cell(one) if (one := findings.find(w.name, c, name)) else "" for w, c in columns)]
            for name in names
        ]
        return _table([title, *(f"{workload.title} ({c})" for workload, c in columns)], rows)

    def latencies(one: Result) -> str:
        p50, p99 = (
            _median(one, lambda turn, name=name: getattr(turn, name)) for name in ("p50_ms", "p99_ms")
        )  # type: ignore[misc]
        return f"{_number(p50)}, {_number(p99)}"

    parts = [
        "In parentheses how many connections ask; under *processor time* is what an answer costs the server."
    ]
    if shared:
        parts.append(matrix("requests/s", shared, lambda one: _number(_median(one, lambda turn: turn.per_s))))
        parts.append(matrix("processor time, µs", shared, lambda one: _number(_median(one, _cpu))))
        parts.append(matrix("p50, p99 in ms", shared, latencies))
    if opened:
        parts.append(matrix("open loop: p50, p99 in ms from when due", opened, latencies))
    return parts


def mix_table(findings: Findings) -> str:
    """Two models asked in turn: the rate, over what both alone come to (a pair takes the time of both)."""
    rows = []
    for one in findings.results:
        alone = [findings.find(name, one.connections, one.target) for name in ("floats", "dense")]
        if one.workload == "two_models" and None not in alone:
            rates = [_rates(result).median for result in alone if result is not None]
            ideal = 2 / sum(1 / rate for rate in rates)
            both = _rates(one).median
            rows.append([one.target, _number(both), _ratio(both / ideal)])
    return _table(["two models in turn", "requests/s", "over both alone"], rows) if rows else ""


def workload_tables(findings: Findings) -> list[str]:
    """Everything that was measured, a table for each workload and number of connections."""
    seen = dict.fromkeys((one.workload, one.connections) for one in findings.results)
    return [_workload_table(findings, workload, connections) for workload, connections in seen]


def experiment_tables(experiments: Mapping[str, Any]) -> list[str]:
    """What our engine was asked alone."""
    parts = [f"{name}: {told['failed']}" for name, told in experiments.items() if "failed" in told]
    parts += [
        _load_table(name, told)
        for name, told in experiments.get("half_load", {}).items()
        if isinstance(told, Mapping)
    ]
    growth = experiments.get("growth", {})
    for what, by_size in growth.items():
        if isinstance(by_size, Mapping):
            figures = [_number(value) for value in by_size.values()]
            parts.append(_table([what, *(f"{int(size):,}" for size in by_size)], [["", *figures]]))
    for where, told in experiments.get("swap", {}).items():
        if isinstance(told, Mapping):
            quiet, busy = told["p99 quiet, ms"], told["p99 while it takes over, ms"]
            parts.append(f"200 MB take over, {where}: p99 of others {busy:.3g} ms, quiet {quiet:.3g} ms.")
    jupyter = experiments.get("through_jupyter", {})
    if "difference, ms" in jupyter:
        both = (jupyter["p50 through Jupyter, ms"], jupyter["p50 direct, ms"])
        parts.append(f"Through Jupyter: p50 {both[0]:.3g} ms, by the direct port {both[1]:.3g} ms.")
    return parts


def _load_table(model: str, told: Mapping[str, Any]) -> str:
    rows = []
    for turn, found in told.items():
        if isinstance(found, Mapping) and "p50_ms" in found:
            rate = "" if found.get("rate") is None else _number(found["rate"])
            rows.append([turn, rate, _number(found["p50_ms"]), _number(found["p99_ms"])])
    return _table([f"{model}, shares of the closed loop's rate", "requests/s", "p50 ms", "p99 ms"], rows)


def stage_tables(
    stages: Mapping[str, Mapping[str, float]], live: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Microseconds by stage: each function alone, and those of live requests."""
    live = {name: told for name, told in live.items() if isinstance(told, Mapping)}
    titles = (("each stage's function, µs", stages), ("a live request by `Server-Timing`, µs", live))
    return [_stages(title, told) for title, told in titles if told]


def quietness(findings: Findings) -> str:
    """How far the figures are the servers': what else used their core, and where the load was near its own limit."""
    # Loops have a core for themselves and no load.
    others = sorted(turn.others_share for one in findings.results for turn in one.samples if turn.load_share)
    if not others:
        return ""
    median = others[len(others) // 2]
    words = f"Other processes took {median:.1%} of the server's core in the median turn, {others[-1]:.0%} in the worst."
    if median > _QUIET_SHARE:
        words += " **So rates and latencies of this run say nothing, nor do verdicts on them; processor times do.**"
    busy = dict.fromkeys(
        f"{one.target} ({_TITLES.get(one.workload, one.workload)}, {_connections(one.connections)})"
        for one in findings.results
        if _median(one, lambda turn: turn.load_share) > _BUSY_LOAD
    )
    return words + (f" The load's own core was the limit for: {'; '.join(busy)}." if busy else "")


def absences(findings: Findings) -> list[str]:
    """Who took no part, where, and why; without paths, which say nothing to a reader elsewhere."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for (workload, target), reason in findings.absent.items():
        short = re.sub(r"\S*/\S+/\S*", "…", reason)[:_REASON_LENGTH]
        reasons.setdefault((target, short), []).append(_TITLES.get(workload, workload))
    listed = [f"- {target}, {'; '.join(where)}: {short}" for (target, short), where in reasons.items()]
    return ["Took no part:\n\n" + "\n".join(listed)] if listed else []


def _workload_table(findings: Findings, workload: str, connections: int) -> str:
    here = [one for one in findings.results if (one.workload, one.connections) == (workload, connections)]
    rows = []
    for one in sorted(here, key=lambda result: -_rates(result).median):
        rates = _rates(one)
        p50, p99 = (
            spread([getattr(turn, name) for turn in one.samples]).median for name in ("p50_ms", "p99_ms")
        )
        rows.append(
            [
                one.target,
                _number(rates.median),
                f"{_number(rates.low)} to {_number(rates.high)}",
                f"{p50:.3g}",
                f"{p99:.3g}",
                _number(_median(one, _cpu)),
                f"{_median(one, lambda turn: turn.load_share):.2f}",
                str(sum(turn.errors for turn in one.samples)),
            ]
        )
    head = ["", "requests/s", "lowest to highest", "p50 ms", "p99 ms", "µs of processor", "load", "errors"]
    return f"**{_TITLES.get(workload, workload)}, {_connections(connections)}**\n\n{_table(head, rows)}"


def _stages(title: str, stages: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for told in stages.values() for name in told))
    rows = [
        [one, *(_number(told[name]) if name in told else "" for name in names)]
        for one, told in stages.items()
    ]
    return _table([title, *names], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _at(findings: Findings, workload: Workload, connections: int) -> list[Result]:
    return [
        one for one in findings.results if (one.workload, one.connections) == (workload.name, connections)
    ]


def _cpu(turn: Sample) -> float:
    return turn.cpu_us


def _median(result: Result, value: Callable[[Sample], float]) -> float:
    return spread([value(turn) for turn in result.samples]).median


def _rates(result: Result) -> Spread:
    return spread([turn.per_s for turn in result.samples])


def _bound(promise: Promise) -> str:
    return "" if promise.bound is None else f"at {'most' if promise.is_most else 'least'} {promise.bound:g}"


def _verdict(promise: Promise, told: Told | None) -> str:
    if promise.bound is None:
        return ""
    if told is None:
        return "not measured"
    return "kept" if promise.holds(told.value) else "**missed**"


def _between(told: Told | None) -> str:
    if told is None:
        return ""
    if told.low == told.high:
        return _ratio(told.value)
    return f"{_ratio(told.value)} ({_ratio(told.low)} to {_ratio(told.high)})"


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count:,} connections"


def _ratio(value: float) -> str:
    return f"{value:.3g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
