"""argparse for one line of a cell: its mistakes are one-line errors, and nothing ends the process. Pure."""

from __future__ import annotations

import argparse
from typing import NoReturn

from jupyter_tfserve.errors import invalid_argument


class HelpShown(Exception):
    """`--help` was asked for, and printed."""


class LineParser(argparse.ArgumentParser):
    """A parser for one line of a cell: raises ServingError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """See argparse; INVALID_ARGUMENT with the usage as its hint."""
        raise invalid_argument(f"{self.prog}: {message}", self.format_usage().strip())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """See argparse; it exits by itself only after it printed the help."""
        raise HelpShown
