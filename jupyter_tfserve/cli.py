"""`jupyter tfserve COMMAND`: the engine and the demo from a terminal. Each command imports only what it runs."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

CLOSED_PIPE: Final = 141
"""What a shell calls a program that SIGPIPE ended."""

USAGE = """usage: jupyter tfserve COMMAND [...]

commands:
  serve    run the model server; takes tensorflow_model_server's flags (`serve --help` lists them)
  demo     make two small models and open the quick-start notebook on them;
           `demo --check` serves and queries them without a browser"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of the command: 0, or 255 after one line that says what was wrong; 141 if nobody reads it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and given[:1] == ["serve"]:
        from jupyter_tfserve.worker.huge_pages import restart_with_huge_pages

        restart_with_huge_pages()
    try:
        status = _run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # As with `| head`. The interpreter flushes once more as it ends, and must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    return status


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    name, rest = given[0], given[1:]
    if name.startswith("--"):
        # tensorflow_model_server's own command line has no sub-command.
        name, rest = "serve", given
    command = _COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        suggestion = f"; did you mean '{near[0]}'?" if near else ""
        print(f"jupyter tfserve: unknown command '{name}'{suggestion}\n\n{USAGE}", file=sys.stderr)
        return 255
    return command(rest)


def _serve(arguments: Sequence[str]) -> int:
    from jupyter_tfserve.engine.main import serve

    return serve(arguments)


def _demo(arguments: Sequence[str]) -> int:
    from jupyter_tfserve.notebook.demo import run_demo

    return run_demo(arguments)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"serve": _serve, "demo": _demo}
