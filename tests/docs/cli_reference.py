"""docs/cli.md: the commands and flags of `jupyter tfserve`, as their own help tells them.

python -m tests.docs.cli_reference          writes the file
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from jupyter_tfserve.cli import USAGE
from jupyter_tfserve.engine.flags import FLAGS, Flag
from jupyter_tfserve.notebook.demo import demo_parser

FILE = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """# The command line

Made from the program's own help by `python -m tests.docs.cli_reference`; a test fails when they disagree.
`jupyter tfserve …`, `jupyter-tfserve …` and `python -m jupyter_tfserve …` are the same.

```
{usage}
```

## demo

    jupyter tfserve demo {options} [-- JUPYTERLAB'S OPTIONS]

{description}

{demo}

As root, JupyterLab is started with `--allow-root`. Its log is in the work folder, `jupyterlab.log`.

## serve

    jupyter tfserve serve [--flag=value …]

The flags of `tensorflow_model_server`, by their own names, and ours. `serve` may be left out when the first argument
is a flag. A boolean flag may stand alone: `--enable_batching` is `--enable_batching=true`. An unknown flag is reported
with its nearest neighbour, and the server starts all the same. It exits with 0 after SIGTERM or SIGINT, requests in
flight answered; with 255 and one line that says why when it cannot start.

### TensorFlow Serving's flags

{upstream}

### Ours

{ours}

### Accepted, without effect

So that command lines can be moved unchanged. Setting one of these flags to anything but its default is noted in the log.

{inert}

Flags and their differences to TensorFlow Serving: [compatibility.md](compatibility.md), row by row in
[compatibility_table.md](compatibility_table.md).
"""


def document() -> str:
    """The whole page."""
    parser = demo_parser()
    options = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    return HEAD.format(
        usage=USAGE,
        options=" ".join(f"[{_spelled(option)}]" for option in options),
        description=parser.description,
        demo=_table(("option", "meaning"), ((f"`{_spelled(option)}`", option.help) for option in options)),
        upstream=_flags(flag for flag in FLAGS if not flag.ours and not flag.inert),
        ours=_flags(flag for flag in FLAGS if flag.ours),
        inert=_table(("flag", "why"), ((f"`--{flag.name}`", flag.inert) for flag in FLAGS if flag.inert)),
    )


def _spelled(action: argparse.Action) -> str:
    name = action.option_strings[-1]
    return name if action.nargs == 0 else f"{name} {action.metavar or action.dest.upper()}"


def _flags(flags: Iterable[Flag]) -> str:
    rows = ((f"`--{flag.name}`", _default(flag), flag.help) for flag in flags)
    return _table(("flag", "default", "meaning"), rows)


def _default(flag: Flag) -> str:
    value = str(flag.default).lower() if isinstance(flag.default, bool) else str(flag.default)
    return f"`{value}`" if value else ""


def _table(heads: Iterable[str], rows: Iterable[Iterable[str | None]]) -> str:
    return "\n".join(_lines(list(heads), rows))


def _lines(heads: list[str], rows: Iterable[Iterable[str | None]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join((cell or '').replace('|', '&#124;') for cell in row)} |"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
