"""The catalogue names tests that exist, and docs have its rows; lines become the table."""

from __future__ import annotations

import ast
import json

import pytest

from tests.reliability.catalogue import CASES, CASES_BY_TEST
from tests.reliability.report import BEGIN, END, PAGE, PROMISES, README, ROOT, outcome, promises, read_lines


def line(case, test, passed=True, figures=()):
    text = {"id": case, "test": f"tests/{test}", "pass": passed, "figures": list(figures)}
    return json.dumps(text)


def test_catalogue_has_every_case_once():
    wanted = [f"L{n}" for n in range(1, 19)] + ["M1"]
    wanted += [f"F{n}" for n in range(1, 20)] + [f"S{n}" for n in range(1, 15)]
    assert [case.id for case in CASES] == wanted
    assert all(case.tests or case.unshown for case in CASES)
    assert {case for _, cases in PROMISES for case in cases} <= set(wanted)


@pytest.mark.parametrize("file", sorted({test.partition("::")[0] for test in CASES_BY_TEST}))
def test_named_tests_exist(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    there = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    named = {test.partition("::")[2] for test in CASES_BY_TEST if test.startswith(f"{file}::")}
    assert named <= there


def test_docs_have_the_rows_of_the_catalogue():
    page = PAGE.read_text(encoding="utf-8")
    rows = [row.strip("| ").split(" | ") for row in page.splitlines() if row.startswith("| ")]
    found = [tuple(cells[:3]) for cells in rows if cells[0] != "case"]
    assert found == [(case.id, case.attack, case.promise) for case in CASES]
    assert all(f"- **{case.id}**: {case.unshown}." in page for case in CASES if case.unshown)


def test_readme_promises_only_what_is_in_the_list():
    table = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ")][1:]
    known = {(text, ", ".join(cases)) for text, cases in PROMISES}
    assert {(row[0], row[2]) for row in rows} <= known


def test_outcome_tells_figures_failures_and_what_was_not_run():
    case = next(case for case in CASES if case.id == "F2")
    first, second, third = case.tests
    figure = {"what": "states lost", "figure": 0, "unit": "of 9"}
    good = [line("F2", first), line("F2", second, figures=[figure]), line("F2", third)]
    assert outcome(case, read_lines(good)) == "holds; states lost: 0 of 9"
    assert (
        outcome(case, read_lines(good[:2]))
        == "holds as far as run (1 of 3 tests not)" + "; states lost: 0 of 9"
    )
    broken = read_lines([*good, line("F2", third, passed=False)])
    assert outcome(case, broken) == f"**failed in this run**: `{third.partition('::')[2]}`"
    assert outcome(case, read_lines([])) == "not run"


def test_promise_is_left_out_when_one_of_its_tests_failed_or_was_not_run():
    one = [line(case.id, test) for case in CASES for test in case.tests]
    assert all(f"| {text} |" in promises(read_lines(one)) for text, _ in PROMISES)
    lost = [line("L1", CASES[0].tests[0], passed=False)]
    assert PROMISES[0][0] not in promises(read_lines([*one, *lost]))
    assert PROMISES[0][0] not in promises(read_lines(one[1:]))
