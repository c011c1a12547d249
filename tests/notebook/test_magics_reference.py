"""The reference of the magics names every command, and each command's own options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jupyter_tfserve.notebook.arguments import parser_of
from jupyter_tfserve.notebook.commands import SUBCOMMANDS
from jupyter_tfserve.notebook.server import Server

TEXT = (Path(__file__).parents[2] / "docs" / "magics.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE))


def test_reference_has_every_command_and_no_other_when_written():
    assert SECTIONS.keys() == SUBCOMMANDS.keys()


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_reference_names_every_option_and_no_other_when_written(command):
    real = {option for option in parser_of(command)._option_string_actions if option.startswith("--")}
    written = set(re.findall(r"--[a-z][a-z0-9-]*", SECTIONS[command]))
    assert written == real - {"--help"}


@pytest.mark.parametrize("method", sorted(set(re.findall(r"`server\.(\w+)\(", TEXT))))
def test_method_exists_when_the_reference_names_it(method):
    assert callable(getattr(Server, method))
