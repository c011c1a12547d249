"""Makes docs/reliability.md and README's promises of the lines that a run wrote.

    python -m tests.reliability.report [--note TEXT] LINES.jsonl …

A promise stands in the README only if every test of its cases was run and passed, and no bound was missed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.reliability.case import Case
from tests.reliability.catalogue import CASES, CASES_BY_TEST
from tests.reliability.figure_text import Line, shown_figures

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- promises: made by tests/reliability/report.py -->", "<!-- end of promises -->"
TOLD_FIGURES = 2
PARTS = {"L": "Load", "M": "Load", "F": "Faults", "S": "Strangers"}

PROMISES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("A change of version or label drops and mixes nothing", ("L1",)),
    (
        "A bad model costs only itself: aborts, hangs, broken files, too much memory",
        ("F5", "F6", "F7", "F8", "F9"),
    ),
    ("What was acknowledged survives `kill -9` and a full disk", ("F1", "F2", "F3")),
    ("No client stops the batcher, and nobody gets another's rows", ("L11", "L12", "S13")),
    ("Memory and time are bounded by options, not by the sender", ("L3", "L4", "L5", "L10", "L15")),
    ("Overload is refused quickly, by default too, and as much as ever is answered", ("L13", "L17")),
    ("Nothing is open off this machine by default, and no door without its token", ("S1", "S2", "S4", "S5")),
    ("A hundred loads and unloads give their memory back", ("M1",)),
    ("Kernels and Jupyter servers come and go, and leave no process behind", ("F13", "F14")),
)

Lines = Mapping[str, Sequence[Line]]


def read_lines(texts: Iterable[str]) -> Lines:
    """The lines by case; of a test that was run more than once, the last run counts.

    Lines of tests that the catalogue does not name any more show nothing.
    """
    last: dict[tuple[str, str], Line] = {}
    for text in texts:
        line = json.loads(text)
        if line["id"] in {case.id for case in CASES_BY_TEST.get(_test(line), ())}:
            last[line["id"], line["test"]] = line
    found: dict[str, list[Line]] = {}
    for (case, _), line in last.items():
        found.setdefault(case, []).append(line)
    return found


def _test(line: Line) -> str:
    """Without its parameters."""
    return str(line["test"]).partition("[")[0]


def not_run(case: Case, lines: Lines) -> set[str]:
    """The tests of the case that have no line."""
    return {f"tests/{test}" for test in case.tests} - {_test(line) for line in lines.get(case.id, ())}


def holds(case: Case, lines: Lines) -> bool:
    """Whether each test of the case was run, all of them passed, and each figure keeps its bound."""
    ran = lines.get(case.id, ())
    is_complete = bool(case.tests) and not not_run(case, lines)
    return (
        is_complete
        and all(line["pass"] for line in ran)
        and not any(shown.is_missed for shown in shown_figures(case, ran))
    )


def figures(case: Case, lines: Lines) -> list[str]:
    """What was measured, in words."""
    return [shown.text for shown in shown_figures(case, lines.get(case.id, ()))]


def outcome(case: Case, lines: Lines) -> str:
    """The cell of the table that says what came of it."""
    if not case.tests:
        return "not run here"
    ran = lines.get(case.id, ())
    if not ran:
        return "not run"
    failed = sorted({line["test"].rpartition("::")[2] for line in ran if not line["pass"]})
    if failed:
        return "**failed in this run**: " + ", ".join(f"`{name}`" for name in failed)
    shown, missing = shown_figures(case, ran), len(not_run(case, lines))
    held = "holds but for a bound" if any(one.is_missed for one in shown) else "holds"
    if missing:
        held += f" as far as run ({missing} of {len(case.tests)} tests not)"
    return "; ".join([held, *(one.text for one in shown)])


def page(lines: Lines, note: str = "") -> str:
    """docs/reliability.md; `note` is what a reader must know of the run."""
    every = [line for of_case in lines.values() for line in of_case]
    where = sorted({f"{line['machine']}, {line['cores']} cores" for line in every})
    commits = sorted({line["commit"] for line in every})
    nightly_s = sum({line["test"]: line["seconds"] for line in every if line["tier"] == "nightly"}.values())
    head = f"""# Reliability

What may happen to a server, what is promised then, and what was measured. The table is made by
`python -m tests.reliability.report LINES.jsonl` from the lines that the tests write; figures are of the run named below.

    TFSERVE_RELIABILITY_LINES=lines.jsonl pytest
    TFSERVE_RELIABILITY_LINES=lines.jsonl pytest -m nightly

Measured on: {"; ".join(where) or "not measured"}. Commits: {", ".join(commits) or "none"}.
{note}
A figure of several tests or of several sizes is the worst of them; a bound beside it is part of the promise.
The nightly tests took {nightly_s / 60:.0f} minutes. The soak lasts `TFSERVE_SOAK_S` seconds, 120 by default; an
hour before a release. Tests that need strace, slowhttptest, h2load, faketime, testssl.sh or atheris
(`pip install '.[fuzz]'`) are skipped without them, and say so.

After each case that shares an engine the same is asked again: a good model answers right; memory, descriptors and
threads are back. Answers are searched for traces, tokens and paths; requests are counted on both sides.
"""
    parts: dict[str, list[Case]] = {}
    for case in CASES:
        parts.setdefault(PARTS[case.id[0]], []).append(case)
    return head + "".join(_part(title, cases, lines) for title, cases in parts.items()) + _unshown()


def promises(lines: Lines) -> str:
    """README's table: only what holds, with its figures."""
    by_id = {case.id: case for case in CASES}
    rows = ["| promise | measured | cases |", "|---|---|---|"]
    for text, ids in PROMISES:
        cases = [by_id[one] for one in ids]
        if all(holds(case, lines) for case in cases):
            # The first of each case tell of the promise itself; the page has all.
            told = (one for case in cases for one in figures(case, lines)[:TOLD_FIGURES])
            measured = "; ".join(told) or "passed; there is no figure"
            rows.append(f"| {text} | {measured} | {', '.join(ids)} |")
    return "\n".join(rows)


def main(arguments: list[str]) -> None:
    """Writes both files."""
    note = arguments[1] if arguments[:1] == ["--note"] else ""
    names = arguments[2:] if note else arguments
    lines = read_lines(text for name in names for text in Path(name).read_text("utf-8").splitlines())
    PAGE.write_text(page(lines, note), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{promises(lines)}\n{END}{after}", encoding="utf-8")


def _part(title: str, cases: Sequence[Case], lines: Lines) -> str:
    rows = [
        f"| {case.id} | {case.attack} | {case.promise} | {outcome(case, lines)} | {_where(case)} |"
        for case in cases
    ]
    head = "| case | what happens | what is promised | figure | shown by |\n|---|---|---|---|---|\n"
    return f"\n## {title}\n\n{head}" + "\n".join(rows) + "\n"


def _where(case: Case) -> str:
    names = dict.fromkeys(test.partition("::")[0] for test in case.tests)
    return ", ".join(f"`{name}`" for name in names) or "no test"


def _unshown() -> str:
    rows = [f"- **{case.id}**: {case.unshown}." for case in CASES if case.unshown]
    return "\n## Not shown\n\n" + "\n".join(rows) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
