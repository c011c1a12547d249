"""What a row of the catalogue is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One attack, what is promised under it, and the tests that show it (`folder/test_file.py::test_name`).

    `unshown` says what of it no test here shows, and why; a case without tests has nothing else.
    """

    id: str
    attack: str
    promise: str
    tests: tuple[str, ...] = ()
    unshown: str = ""
