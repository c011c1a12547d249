"""`jupyter tfserve serve`: flags, logging, the event loop around one engine, and the exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from jupyter_tfserve._version import __version__
from jupyter_tfserve.engine.descriptors import with_room_for_files
from jupyter_tfserve.engine.event_loop import run_loop, tuned
from jupyter_tfserve.engine.flags import parse_flags, usage
from jupyter_tfserve.engine.initial_models import initial_models
from jupyter_tfserve.engine.startup import engine_options
from jupyter_tfserve.errors import ServingError

EXIT_FAILURE = 255
"""tensorflow_model_server's status for a start that failed."""


def serve(arguments: Sequence[str]) -> int:
    """Runs an engine until it is told to stop: 0 then, 255 if it could not start (the reason is the last line)."""
    _log_to_stderr()
    try:
        values, notes = parse_flags(arguments)
        if values["help"]:
            print(usage())
            return 0
        if values["version"]:
            print(_versions())
            return 0
        # Before anything can fail: a misspelt flag may be why it does.
        _tell(notes)
        options, more = engine_options(values)
        limits, few = with_room_for_files(options.limits)
        options = replace(options, limits=limits)
        initial = initial_models(options)
        _tell((*more, *few, *initial.notes))
        from jupyter_tfserve.engine.engine import Engine

        async def run() -> None:
            await tuned(Engine(options, initial).run())

        run_loop(run())
    except ServingError as error:
        print(_start_failure(error), flush=True)
        return EXIT_FAILURE
    return 0


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr, flush=True)


def _start_failure(error: ServingError) -> str:
    """The line that ends a failed start, as upstream prints it, with the next step below."""
    hint = f"\n{error.hint}" if error.hint else ""
    return f"Failed to start server. Error: {error}{hint}"


def _versions() -> str:
    from importlib.metadata import version

    return f"jupyter_tfserve: {__version__}\nTensorFlow Library: {version('tensorflow')}"


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
