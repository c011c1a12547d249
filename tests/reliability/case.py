"""What a row of the catalogue is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """Figures that answer a case's promise: those whose names begin with `what`, of which the worst is told.

    `name` is what several are called together. A bound is part of the promise: `at_most` or `at_least` so much, or at
    most `times` the figure of the same test whose name begins with `than`.
    """

    what: str
    at_most: float | None = None
    at_least: float | None = None
    times: float | None = None
    than: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One attack, what is promised under it, and the tests that show it (`folder/test_file.py::test_name`).

    `unshown` says what of it no test here shows, and why; a case without tests has nothing else. `told` are the
    figures that the table shows; if it is empty, all of them.
    """

    id: str
    attack: str
    promise: str
    tests: tuple[str, ...] = ()
    unshown: str = ""
    told: tuple[Told, ...] = ()
