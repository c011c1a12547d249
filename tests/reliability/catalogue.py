"""The catalogue: every case, and the cases that a test shows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.reliability import fault_cases, load_cases, security_cases
from tests.reliability.case import Case

CASES: Final[tuple[Case, ...]] = (*load_cases.CASES, *fault_cases.CASES, *security_cases.CASES)


def _by_test() -> Mapping[str, tuple[Case, ...]]:
    found: dict[str, tuple[Case, ...]] = {}
    for case in CASES:
        for test in case.tests:
            found[f"tests/{test}"] = (*found.get(f"tests/{test}", ()), case)
    return MappingProxyType(found)


CASES_BY_TEST: Final = _by_test()
