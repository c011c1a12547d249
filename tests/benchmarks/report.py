"""A run as JSON and as Markdown. Pure, but for the files that it writes and reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import tables
from tests.benchmarks.promises import PROMISES, Promise, Told
from tests.benchmarks.side_by_side import Findings, read_findings

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


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
            **self.findings.as_json(),
            "stages_us": {name: dict(stages) for name, stages in self.stages.items()},
            "experiments": self.experiments,
            "promises": [
                {
                    "text": promise.text,
                    "bound": promise.bound,
                    "found": None if told is None else asdict(told),
                    "holds": None if told is None else promise.holds(told.value),
                    "by_cpu": None if by_cpu is None else by_cpu.value,
                }
                for promise, told, by_cpu in self._kept()
            ],
        }

    def as_markdown(self) -> str:
        """What docs show, and then every turn's table."""
        return f"{self.as_docs()}\n\n" + "\n\n".join(tables.workload_tables(self.findings)) + "\n"

    def as_docs(self) -> str:
        """Promises first, then everybody beside everybody, what our engine was asked alone, and its stages."""
        machine = "; ".join(f"{name}: {text}" for name, text in self.machine.items())
        parts = [
            f"`{self.command}`\n\n{machine}. {tables.quietness(self.findings)}",
            tables.promise_table(self._kept()),
            *tables.comparison(self.findings),
            tables.mix_table(self.findings),
            *tables.experiment_tables(self.experiments),
            *tables.stage_tables(self.stages, self.experiments.get("live", {})),
            *tables.absences(self.findings),
        ]
        return "\n\n".join(part for part in parts if part)

    def _kept(self) -> list[tuple[Promise, Told | None, Told | None]]:
        return [
            (
                promise,
                promise.found(self.findings, self.experiments),
                None if promise.by_cpu is None else promise.by_cpu(self.findings, self.experiments),
            )
            for promise in PROMISES
        ]


def read_report(file: Path) -> Report:
    """The run whose `benchmark.json` this is."""
    told = json.loads(file.read_text())
    return Report(
        told["command"], told["machine"], read_findings(told), told["stages_us"], told["experiments"]
    )


def embed(page: str, block: str) -> str:
    """The page with the block between its two marks; ValueError if it does not have them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"The page must have the lines {BEGIN} and {END}, between which the run's part goes."
        )
    return f"{before}{BEGIN}\n{block}\n{END}{after}"
