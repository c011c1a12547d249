"""`%tfserve` and `%%tfserve`: a notebook's lines into calls of `Server`, whose results show themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from IPython.core.display_functions import publish_display_data
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from jupyter_tfserve.client.programs import LANGUAGES
from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.notebook.addresses import Via
from jupyter_tfserve.notebook.amounts import describe_limits
from jupyter_tfserve.notebook.answer import answer_of
from jupyter_tfserve.notebook.api import connect, doctor, running_server
from jupyter_tfserve.notebook.arguments import overview, parse_line
from jupyter_tfserve.notebook.batching import Batching, parse_changes
from jupyter_tfserve.notebook.completion import complete
from jupyter_tfserve.notebook.discovery import THIS_KERNEL
from jupyter_tfserve.notebook.doctor import Diagnosis
from jupyter_tfserve.notebook.line_parser import HelpShown
from jupyter_tfserve.notebook.query import evaluate, evaluate_body, parse_target, source_of
from jupyter_tfserve.notebook.server import Server
from jupyter_tfserve.notebook.share import Keys, SharedKey
from jupyter_tfserve.notebook.tune import Tuning

COMPLETION_TIMEOUT_S: Final = 0.5


@magics_class
class TFServeMagics(Magics):  # type: ignore[misc]  # IPython's types are skipped
    """The magics of one shell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._server: Server | None = None
        for word in ("%tfserve", "%%tfserve"):
            shell.set_hook("complete_command", self._complete, str_key=word)

    @line_cell_magic  # type: ignore[untyped-decorator]
    def tfserve(self, line: str, cell: str | None = None) -> Any:
        """Replaced below by the overview of the commands, which `%tfserve?` shows."""
        try:
            command, arguments = parse_line(line)
            if (cell is not None) != (command == "query"):
                raise _wrong_kind(command)
            if cell is not None:
                arguments["cell"] = cell
            run: Callable[..., Any] = getattr(self, f"_{command}")
            return run(**arguments)
        except HelpShown:
            return None
        except ServingError as error:
            # IPython shows a UsageError as one line, and the cell still counts as failed.
            raise UsageError(_one_message(error)) from None
        except OSError as error:
            raise UsageError(f"{error.strerror or error}: {error.filename or 'the server'}") from None

    def _start(self, path: str | None, **settings: Any) -> Server:
        self._server = connect(path, **settings)
        return self._server

    def _status(self) -> Any:
        return self._running().status()

    def _panel(self, model: str | None) -> Any:
        return self._running().panel(model)

    def _stop(self) -> None:
        try:
            server = self._running()
        except ServingError as error:
            if error.code is not Code.UNAVAILABLE:
                raise
            print("No model server runs.")
            return
        server.stop()
        self._server = None
        print("The model server has stopped.")

    def _save(self, obj: str, name: str | None, label: str | None, like: str | None, no_warmup: bool) -> Any:
        namespace = self.shell.user_ns
        value = evaluate(obj, namespace)
        example = None if like is None else evaluate(like, namespace)
        server = self._running()
        saved = server.save(value, name, label=label, like=example, warm_up=not no_warmup)
        # A `%tfserve start` above in the same cell shows nothing: a cell shows its last value alone.
        publish_display_data(server.status()._repr_mimebundle_())
        return saved

    def _label(self, move: tuple[str, int], model: str | None) -> None:
        label, version = move
        previous = self._running().label(label, version, model)
        print(f"{label} -> {version}" + ("" if previous is None else f" (was {previous})"))

    def _unlabel(self, label: str, model: str | None) -> None:
        print(f"{label} is gone (was {self._running().unlabel(label, model)})")

    def _versions(self, kind: str, numbers: list[int], model: str | None) -> Any:
        server = self._running()
        server.versions(kind, *numbers, model=model)
        return server.status()

    def _load(self, version: int, model: str | None) -> Any:
        return self._running().load(version, model)

    def _unload(self, version: int, model: str | None) -> Any:
        server = self._running()
        server.unload(version, model)
        return server.status()

    def _limit(self, name: str, limits: list[str]) -> None:
        print(f"{name}: {describe_limits(self._running().limit(*limits, model=name))}")

    def _batching(self, name: str, settings: list[str], signature: str | None) -> Batching:
        return self._running().batching(name, signature, **parse_changes(settings))

    def _replicas(self, count: int | None, model: str | None) -> Any:
        server = self._running()
        server.replicas(count, model)
        return server.status()

    def _tune(
        self, target: str, p99: float | None, rate: float | None, on: str | None, **rest: Any
    ) -> Tuning:
        rows = None if on is None else evaluate(on, self.shell.user_ns)
        return self._running().tune(target, rows, p99_ms=p99, rate=rate, **rest)

    def _share(self, models: list[str], **settings: Any) -> SharedKey:
        return self._running().share(*models, **settings)

    def _keys(self) -> Keys:
        return self._running().keys()

    def _unshare(self, key: str) -> None:
        self._running().unshare(key)
        print(f"Key {key} opens nothing any more.")

    def _rollback(self, model: str | None) -> None:
        print(self._running().rollback(model))

    def _config(self, path: str) -> Any:
        server = self._running()
        server.config(path)
        return server.status()

    def _history(self, limit: int) -> Any:
        return self._running().history(limit)

    def _logs(self, follow: bool, lines: int) -> None:
        server = self._running()
        if follow:
            server.follow_logs(lines, functools.partial(print, end="", flush=True))
        else:
            print(server.logs(lines) or "The log is empty.")

    def _doctor(self) -> Diagnosis:
        return doctor()

    def _query(self, target: str, signature: str, output: str | None, cell: str) -> Any:
        inputs = evaluate_body(cell, self.shell.user_ns)
        reply = self._running().ask(parse_target(target, signature), inputs, source_of(cell))
        if output is not None:
            self.shell.user_ns[output] = reply.value
        return answer_of(reply)

    def _compare(self, a: str, b: str, on: str, output: str | None, limit: int) -> Any:
        value = evaluate(on, self.shell.user_ns)
        rows, truth = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
        return self._running().compare(a, b, rows, truth, output=output, limit=limit)

    def _bench(self, target: str, on: str | None, direct: str | None, seconds: float) -> Any:
        namespace = self.shell.user_ns
        rows, model = (None if text is None else evaluate(text, namespace) for text in (on, direct))
        return self._running().bench(target, rows, model=model, seconds=seconds)

    def _snippet(self, target: str | None, lang: str | None, row: str | None, via: str | None) -> Any:
        value = None if row is None else evaluate(row, self.shell.user_ns)
        languages = LANGUAGES if lang is None else (lang,)
        way = None if via is None else Via(via)
        return self._running().snippets(target, languages, row=value, via=way)

    def _running(self) -> Server:
        """The server that this notebook used last if it still runs, or the one that runs for this kernel."""
        if self._server is None or not self._server.is_running:
            self._server = running_server()
        return self._server

    def _complete(self, shell: Any, event: Any) -> list[str]:
        return complete(event.text_until_cursor, self._models, self.shell.user_ns)

    def _models(self) -> tuple[ModelState, ...]:
        try:
            if self._server is None:
                # One may run since before this kernel.
                engine = THIS_KERNEL.find(patience_s=0)
                if engine is None:
                    return ()
                self._server = Server(engine)
            return self._server.client.state(COMPLETION_TIMEOUT_S).models
        except ServingError:
            # A completion has nowhere to show an error.
            return ()


TFServeMagics.tfserve.__doc__ = overview()


def _wrong_kind(command: str) -> ServingError:
    if command == "query":
        return invalid_argument("Nothing to send.", "Write %%tfserve query MODEL, and the rows below it.")
    return invalid_argument(f"{command} takes no cell body.", f"Write it with one sign: %tfserve {command} …")


def _one_message(error: ServingError) -> str:
    return error.message if error.hint is None else f"{error.message}\n{error.hint}"
