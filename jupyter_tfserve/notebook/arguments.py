"""A line of `%tfserve`: which command it is, and its arguments. Pure."""

from __future__ import annotations

import difflib
from typing import Any

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.notebook.commands import SUBCOMMANDS
from jupyter_tfserve.notebook.line_parser import HelpShown, LineParser
from jupyter_tfserve.notebook.words import split_words


def parser_of(subcommand: str) -> LineParser:
    """The sub-command's parser. REQUIRES: it is in `SUBCOMMANDS`."""
    description, fill = SUBCOMMANDS[subcommand]
    sign = "%%" if subcommand == "query" else "%"
    # argparse formats its texts with `%`, so a literal sign is doubled in all but the program's name.
    parser = LineParser(prog=f"{sign}tfserve {subcommand}", description=description, allow_abbrev=False)
    fill(parser)
    return parser


def parse_line(line: str) -> tuple[str, dict[str, Any]]:
    """The sub-command and its arguments. INVALID_ARGUMENT says what to write instead."""
    try:
        words = split_words(line)
    except ValueError as error:
        raise invalid_argument(
            f"This line cannot be read: {error}.", "Close every quotation mark and bracket."
        ) from error
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        raise HelpShown
    if words[0] not in SUBCOMMANDS:
        raise _unknown(words[0])
    return words[0], vars(parser_of(words[0]).parse_args(words[1:]))


def overview() -> str:
    """The help of `%tfserve` as a whole."""
    lines = [f"    {name:<10}{description}" for name, (description, _) in SUBCOMMANDS.items()]
    return "\n".join(
        [
            "Serve TensorFlow models from this notebook.",
            "",
            *lines,
            "",
            "`%tfserve start --help` shows the options of a command. For example:",
            "",
            "    %tfserve start ./saved_models",
            "    %tfserve save model --name regression_experiments --label test",
            "    %tfserve label production=2",
        ]
    )


def _unknown(word: str) -> Exception:
    begun = [command for command in SUBCOMMANDS if command.startswith(word)]
    nearest = begun or difflib.get_close_matches(word, SUBCOMMANDS, n=1)
    if nearest:
        return invalid_argument(
            f"%tfserve has no command {word!r}.", f"Did you mean `%tfserve {nearest[0]}`?"
        )
    return invalid_argument(f"%tfserve has no command {word!r}.", f"Commands: {', '.join(SUBCOMMANDS)}.")
