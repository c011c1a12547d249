"""A run as JSON and as Markdown tables. Pure, but for the two files it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Spread, spread
from tests.benchmarks.promises import PROMISES
from tests.benchmarks.side_by_side import Findings, Result
from tests.benchmarks.workloads import WORKLOADS

_TITLES = {workload.name: workload.title for workload in WORKLOADS}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run found."""

    command: str
    machine: Mapping[str, str]
    findings: Findings
    stages: Mapping[str, Mapping[str, float]]
    experiments: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """`benchmark.json` and `benchmark.md`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "benchmark.json").write_text(json.dumps(self.as_json(), indent=1) + "\n")
        (folder / "benchmark.md").write_text(self.as_markdown())

    def as_json(self) -> dict[str, Any]:
        """All turns, not only their medians."""
        return {
            "command": self.command,
            "machine": dict(self.machine),
            "results": [asdict(one) for one in self.findings.results],
            "absent": [
                {"workload": workload, "target": target, "reason": reason}
                for (workload, target), reason in self.findings.absent.items()
            ],
            "stages_us": {name: dict(stages) for name, stages in self.stages.items()},
            "experiments": self.experiments,
            "promises": [
                {"text": text, "bound": bound, "found": value, "holds": holds, "by_cpu": by_cpu}
                for text, bound, value, holds, by_cpu in self._kept()
            ],
        }

    def as_markdown(self) -> str:
        """Promises first, then every workload, stages and experiments."""
        parts = [f"`{self.command}`", "; ".join(f"{name}: {text}" for name, text in self.machine.items())]
        parts += ["## Promises", self._promises(), "## Side by side", *self._workloads()]
        if self.stages:
            parts += ["## Stages of our data plane, µs a request", self._stages()]
        parts += [
            f"## {name}\n\n```json\n{json.dumps(told, indent=1)}\n```"
            for name, told in self.experiments.items()
        ]
        return "\n\n".join(parts) + "\n"

    def _kept(self) -> list[tuple[str, str, float | None, bool | None, float | None]]:
        kept = []
        for promise in PROMISES:
            value = promise.found(self.findings, self.experiments)
            bound = f"at {'most' if promise.is_most else 'least'} {promise.bound:g}"
            by_cpu = None if promise.by_cpu is None else promise.by_cpu(self.findings, self.experiments)
            kept.append((promise.text, bound, value, None if value is None else promise.holds(value), by_cpu))
        return kept

    def _promises(self) -> str:
        rows = ["| promise | bound | found | | by processor time |", "|---|---|---|---|---|"]
        for text, bound, value, holds, by_cpu in self._kept():
            word = "not measured" if holds is None else "kept" if holds else "**missed**"
            rows.append(f"| {text} | {bound} | {_ratio(value)} | {word} | {_ratio(by_cpu)} |")
        return "\n".join(rows)

    def _workloads(self) -> list[str]:
        seen = dict.fromkeys((one.workload, one.connections) for one in self.findings.results)
        tables = [self._table(workload, connections) for workload, connections in seen]
        absent = [
            f"- {target}, {_TITLES.get(workload, workload)}: {reason}"
            for (workload, target), reason in self.findings.absent.items()
        ]
        return [*tables, *(["Took no part:\n\n" + "\n".join(absent)] if absent else [])]

    def _table(self, workload: str, connections: int) -> str:
        here = [
            one for one in self.findings.results if (one.workload, one.connections) == (workload, connections)
        ]
        head = f"**{_TITLES.get(workload, workload)}, connections: {connections}**\n"
        rows = [
            "| | requests/s | lowest to highest | p50 ms | p99 ms | errors |",
            "|---|---|---|---|---|---|",
        ]
        for one in sorted(here, key=lambda result: -_rates(result).median):
            rates = _rates(one)
            p50, p99, cpu = (
                spread([getattr(turn, name) for turn in one.samples]).median
                for name in ("p50_ms", "p99_ms", "cpu_us")
            )
            errors = sum(turn.errors for turn in one.samples)
            between = f"{_number(rates.low)} to {_number(rates.high)}"
            latencies = f"{p50:.3g} | {p99:.3g} | {_number(cpu) if cpu else ''}"
            rows.append(f"| {one.target} | {_number(rates.median)} | {between} | {latencies} | {errors} |")
        return head + "\n" + "\n".join(rows)

    def _stages(self) -> str:
        names = list(dict.fromkeys(name for stages in self.stages.values() for name in stages))
        rows = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for title, stages in self.stages.items():
            cells = [f"{stages[name]:.2f}" if name in stages else "" for name in names]
            rows.append(f"| {title} | " + " | ".join(cells) + " |")
        return "\n".join(rows)


def _rates(result: Result) -> Spread:
    return spread([turn.per_s for turn in result.samples])


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
