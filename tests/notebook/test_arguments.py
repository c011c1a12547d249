"""The words of `%tfserve`: what is understood, and what is said to everything else."""

from __future__ import annotations

import pytest

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.arguments import overview, parse_line
from jupyter_tfserve.notebook.commands import SUBCOMMANDS
from jupyter_tfserve.notebook.line_parser import HelpShown


@pytest.mark.parametrize(
    ("line", "command", "expected"),
    [
        (
            "start",
            "start",
            {"path": None, "name": None, "rest_port": None, "grpc_port": None, "require_keys": False},
        ),
        (
            "start './my models' --name m --rest-port 9001 --grpc-port 0",
            "start",
            {"path": "./my models", "name": "m", "rest_port": 9001, "grpc_port": 0, "require_keys": False},
        ),
        (
            "start --require-keys",
            "start",
            {"path": None, "name": None, "rest_port": None, "grpc_port": None, "require_keys": True},
        ),
        ("status", "status", {}),
        ("save net", "save", {"obj": "net", "name": None, "label": None, "like": None, "no_warmup": False}),
        (
            "save nets[0] --label test --like 'x[:1]'",
            "save",
            {"obj": "nets[0]", "name": None, "label": "test", "like": "x[:1]", "no_warmup": False},
        ),
        ("label production=2", "label", {"move": ("production", 2), "model": None}),
        (
            "share m,n --expires 2h --rate 5/s --name Ann",
            "share",
            {"models": ["m", "n"], "expires": "2h", "rate": "5/s", "name": "Ann", "burst": None},
        ),
        (
            "share *",
            "share",
            {"models": ["*"], "expires": "24h", "rate": None, "name": "", "burst": None},
        ),
        ("limit m 100/s burst=20", "limit", {"name": "m", "limits": ["100/s", "burst=20"]}),
        ("unshare 0123", "unshare", {"key": "0123"}),
        ("unlabel production --model m", "unlabel", {"label": "production", "model": "m"}),
        ("versions specific 1 2", "versions", {"kind": "specific", "numbers": [1, 2], "model": None}),
        ("query m@l --signature s", "query", {"target": "m@l", "signature": "s", "output": None}),
    ],
)
def test_line_is_understood_when_well_formed(line, command, expected):
    assert parse_line(line) == (command, expected)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("start --rest-port 70000", "'70000' is not a port"),
        ("start --rest-port -1", "'-1' is not a port"),
        ("start a b", "unrecognized arguments: b"),
        ("save", "required: OBJ"),
        ("label production", "'production' is not NAME=VERSION"),
        ("label production=two", "'two' is not a version"),
        ("share m,", "'m,' is not MODEL"),
        ("share m --expires soon", "'soon' is not a time such as"),
        ("share m --rate 5", "'5' is not a rate such as"),
        ("limit m", "required: LIMIT"),
        ("versions newest", "invalid choice: 'newest'"),
        ("start 'open", "cannot be read"),
    ],
)
def test_line_is_refused_with_the_reason_when_malformed(line, part):
    with pytest.raises(ServingError) as caught:
        parse_line(line)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert part in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("word", ["sttatus", "stat"])
def test_nearest_command_is_named_when_the_word_is_misspelt_or_cut(word):
    with pytest.raises(ServingError) as caught:
        parse_line(word)
    assert caught.value.hint == "Did you mean `%tfserve status`?"


def test_all_commands_are_named_when_nothing_is_near():
    with pytest.raises(ServingError) as caught:
        parse_line("fly")
    assert all(name in caught.value.hint for name in SUBCOMMANDS)


@pytest.mark.parametrize("line", ["", "--help", "help"])
def test_overview_is_printed_when_no_command_is_named(line, capsys):
    with pytest.raises(HelpShown):
        parse_line(line)
    assert capsys.readouterr().out.strip() == overview().strip()


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_help_shows_the_options_when_asked_for(command, capsys):
    with pytest.raises(HelpShown):
        parse_line(f"{command} --help")
    shown = " ".join(capsys.readouterr().out.split())
    assert f"tfserve {command}" in shown
    assert SUBCOMMANDS[command][0] in shown
