"""The catalogue names tests that exist, and docs have its rows; lines become the table."""

from __future__ import annotations

import ast
import json

import pytest

from tests.reliability.case import Case, Told
from tests.reliability.catalogue import CASES, CASES_BY_TEST
from tests.reliability.figure_text import shown_figures
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
    case = next(case for case in CASES if case.id == "L12")
    first, second, third = case.tests
    figure = {"what": "states lost", "figure": 0, "unit": "of 9"}
    good = [line("L12", first), line("L12", second, figures=[figure]), line("L12", third)]
    assert outcome(case, read_lines(good)) == "holds; states lost: 0 of 9"
    assert (
        outcome(case, read_lines(good[:2]))
        == "holds as far as run (1 of 3 tests not)" + "; states lost: 0 of 9"
    )
    broken = read_lines([*good, line("L12", third, passed=False)])
    assert outcome(case, broken) == f"**failed in this run**: `{third.partition('::')[2]}`"
    assert outcome(case, read_lines([])) == "not run"


def test_outcome_ignores_lines_of_tests_that_the_catalogue_does_not_name():
    case = next(case for case in CASES if case.id == "L12")
    first, second, third = case.tests
    lost = {"what": "states lost", "figure": 7, "unit": "of 9"}
    gone = line("L12", "reliability/test_gone.py::test_that_had_another_name", passed=False, figures=[lost])
    params = [line("L12", f"{third}[{number}]") for number in range(4)]
    told = outcome(case, read_lines([line("L12", first), line("L12", second), *params, gone]))
    assert told == "holds"
    assert outcome(case, read_lines([*params, gone])) == "holds as far as run (2 of 3 tests not)"


def test_row_tells_the_worst_figure_of_a_kind_beside_its_bound():
    tests = ("a.py::test_a", "b.py::test_b")
    told = (Told("p99 of others", at_most=50), Told("answered", at_least=85), Told("longest"))
    case = Case("L6", "", "", tests, told=told)
    names = (
        ("p99 of others (rows)", 27.94),
        ("p99 of others (columns)", 9.0),
        ("answered", 97.0),
        ("noise", 1),
    )
    ran = [{"figures": [{"what": what, "figure": figure, "unit": "ms"} for what, figure in names]}]
    assert [shown.text for shown in shown_figures(case, ran)] == [
        "p99 of others, worst of 2: 27.9 ms (bound 50)",
        "answered: 97 ms (bound 85)",
    ]
    slow = {"figures": [{"what": "p99 of others (gRPC)", "figure": 51, "unit": "ms"}]}
    few = {"figures": [{"what": "answered", "figure": 84.9, "unit": "%"}]}
    shown = shown_figures(case, [*ran, slow, few])
    assert [one.text for one in shown] == [
        "p99 of others, worst of 3: 51 ms (bound 50, **missed**)",
        "answered, worst of 2: 84.9 % (bound 85, **missed**)",
    ]
    assert all(one.is_missed for one in shown)


def test_row_tells_the_count_that_was_asked_most_often_when_none_failed():
    case = Case(
        "S13", "", "", ("a.py::test_a",), told=(Told("rows that went astray", at_most=0, name="rows"),)
    )
    units = ("of 20,010", "of 2,000,037", "of 5")
    ran = [{"figures": [{"what": "rows that went astray", "figure": 0, "unit": unit}]} for unit in units]
    assert [shown.text for shown in shown_figures(case, ran)] == ["rows, worst of 3: 0 of 2,000,037"]


def test_bound_may_be_a_figure_of_the_same_test():
    told = (Told("p99 meanwhile", times=1.2, than="p99 before"),)
    case = Case("L17", "", "", ("a.py::test_a",), told=told)

    def ran(before, meanwhile):
        return {
            "figures": [
                {"what": "p99 before, by default", "figure": before, "unit": "ms"},
                {"what": "p99 meanwhile, by default", "figure": meanwhile, "unit": "ms"},
            ]
        }

    (kept,) = shown_figures(case, [ran(10, 12)])
    assert (kept.text, kept.is_missed) == ("p99 meanwhile, by default: 12 ms (bound 1.2 times 10)", False)
    (worst,) = shown_figures(case, [ran(10, 12), ran(1, 2)])
    assert worst.text == "p99 meanwhile, worst of 2: 2 ms (bound 1.2 times 1, **missed**)"


def test_figures_that_no_case_chooses_are_told_once_each():
    case = Case("F3", "", "", ("a.py::test_a",))
    ran = [{"figures": [{"what": "half states", "figure": n, "unit": ""}]} for n in (0, 3)]
    assert [shown.text for shown in shown_figures(case, ran)] == ["half states, worst of 2: 3"]


def test_promise_is_left_out_when_a_bound_is_missed():
    every = [line(case.id, test) for case in CASES for test in case.tests]
    slow = {"what": "p99 of others beside 500 slow ones (-H)", "figure": 51, "unit": "ms"}
    test = next(case.tests[0] for case in CASES if case.id == "L3")
    text = next(text for text, cases in PROMISES if "L3" in cases)
    lines = read_lines([*every, line("L3", test, figures=[slow])])
    assert text in promises(read_lines(every))
    assert text not in promises(lines)
    case = next(case for case in CASES if case.id == "L3")
    assert outcome(case, lines).startswith(
        "holds but for a bound; p99 of others beside 500 slow ones (-H): 51 ms"
    )


def test_promise_is_left_out_when_one_of_its_tests_failed_or_was_not_run():
    one = [line(case.id, test) for case in CASES for test in case.tests]
    assert all(f"| {text} |" in promises(read_lines(one)) for text, _ in PROMISES)
    lost = [line("L1", CASES[0].tests[0], passed=False)]
    assert PROMISES[0][0] not in promises(read_lines([*one, *lost]))
    assert PROMISES[0][0] not in promises(read_lines(one[1:]))
