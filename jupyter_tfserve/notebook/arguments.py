"""The words of `%tfserve`: one argparse parser per sub-command, whose mistakes are one-line errors. Pure."""

from __future__ import annotations

import argparse
import difflib
import keyword
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.types import parse_version


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


def _port(text: str) -> int:
    port = parse_version(text)
    if port is None or port > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return port


def _version(text: str) -> int:
    version = parse_version(text)
    if version is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no version: versions are whole numbers")
    return version


def _label_move(text: str) -> tuple[str, int]:
    label, _, number = text.partition("=")
    if not label or not number:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VERSION, such as production=2")
    return label, _version(number)


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a variable")
    return text


def _start(parser: LineParser) -> None:
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="folder of models, or of one model's versions"
    )
    parser.add_argument("--name", help="another name for a single model")
    parser.add_argument("--rest-port", type=_port, help="REST port; 8501, or a free one if that is taken")
    parser.add_argument("--grpc-port", type=_port, help="gRPC port; 8500, or a free one if that is taken")


def _nothing(parser: LineParser) -> None:
    """The sub-command takes no arguments."""


def _save(parser: LineParser) -> None:
    parser.add_argument("obj", metavar="OBJ", help="a Keras model, tf.Module or tf.function of this notebook")
    parser.add_argument(
        "--name", help="the model to add a version to; may be left out when there is only one"
    )
    parser.add_argument("--label", help="label that names the new version once it is available")
    parser.add_argument(
        "--like", metavar="EXPR", help="example input, for an object without an input signature"
    )


def _label(parser: LineParser) -> None:
    parser.add_argument("move", type=_label_move, metavar="NAME=VERSION", help="for example production=2")
    _model(parser)


def _unlabel(parser: LineParser) -> None:
    parser.add_argument("label", metavar="NAME", help="the label to take away")
    _model(parser)


def _versions(parser: LineParser) -> None:
    parser.add_argument("kind", choices=("all", "latest", "specific"), help="which versions to serve")
    parser.add_argument("numbers", nargs="*", type=_version, metavar="N", help="how many, or which ones")
    _model(parser)


def _query(parser: LineParser) -> None:
    parser.add_argument("target", metavar="MODEL[@LABEL|/VERSION]", help="whom to ask")
    parser.add_argument(
        "--signature", default="", metavar="NAME", help="another signature than serving_default"
    )
    parser.add_argument(
        "-o", "--output", type=_variable, metavar="NAME", help="variable that the answer is kept in, as numpy"
    )


def _model(parser: LineParser) -> None:
    parser.add_argument("--model", help="may be left out when only one model is served")


SUBCOMMANDS: Final[Mapping[str, tuple[str, Callable[[LineParser], None]]]] = {
    "start": ("Start the model server, or show the one that runs; serve the models under PATH.", _start),
    "status": ("Show the server's models, versions, labels and addresses.", _nothing),
    "stop": ("Stop the server; your files stay.", _nothing),
    "save": ("Save OBJ as the next version of a model and wait until it is served.", _save),
    "label": ("Point a label at a version; requests follow at once.", _label),
    "unlabel": ("Take a label away.", _unlabel),
    "versions": ("Choose the versions to serve: all, latest N, or specific 1 2.", _versions),
    "query": (
        "Cell magic: send the cell's rows (JSON or a Python expression); shows a table, returns numpy.",
        _query,
    ),
}


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
        words = shlex.split(line)
    except ValueError as error:
        raise invalid_argument(
            f"This line cannot be read: {error}.", "Close every quotation mark."
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
    nearest = difflib.get_close_matches(word, SUBCOMMANDS, n=1)
    if nearest:
        return invalid_argument(
            f"%tfserve has no command {word!r}.", f"Did you mean `%tfserve {nearest[0]}`?"
        )
    return invalid_argument(f"%tfserve has no command {word!r}.", f"Commands: {', '.join(SUBCOMMANDS)}.")
