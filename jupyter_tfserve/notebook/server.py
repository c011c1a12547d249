"""`Server`: a running model server as a Python object, which the magics are a thin skin over."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_tfserve.client.programs import LANGUAGES
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.notebook.addresses import Via
from jupyter_tfserve.notebook.amounts import DEFAULT_EXPIRY, NEVER, parse_duration, parse_rate
from jupyter_tfserve.notebook.bench import Bench
from jupyter_tfserve.notebook.comparison import Comparison
from jupyter_tfserve.notebook.discovery import THIS_KERNEL, Discovery, Engine
from jupyter_tfserve.notebook.doctor import Diagnosis, diagnose
from jupyter_tfserve.notebook.events import MAX_EVENTS, find_undo
from jupyter_tfserve.notebook.handle import ServerHandle
from jupyter_tfserve.notebook.label_steps import next_step
from jupyter_tfserve.notebook.placement import (
    choose_model,
    parse_policy,
    policy_with,
    policy_without,
)
from jupyter_tfserve.notebook.progress import cell_progress
from jupyter_tfserve.notebook.publication import Publication, Saved
from jupyter_tfserve.notebook.query import parse_target
from jupyter_tfserve.notebook.questions import Questions
from jupyter_tfserve.notebook.reply import Reply
from jupyter_tfserve.notebook.rollback import apply_undo
from jupyter_tfserve.notebook.share import SharedKey, share
from jupyter_tfserve.notebook.snippet_view import Snippets
from jupyter_tfserve.notebook.start_notes import chosen_versions, is_empty
from jupyter_tfserve.notebook.surroundings import look_around
from jupyter_tfserve.notebook.tune import TUNE_S, TuneWish, Tuning
from jupyter_tfserve.notebook.views import Model, Status, Version, model_view, version_view
from jupyter_tfserve.notebook.waiting import are_moving, await_version, settle, with_failures
from jupyter_tfserve.types import ModelSpec, Tensor

if TYPE_CHECKING:
    from jupyter_tfserve.notebook.panel.panel import Panel

LOAD_TIMEOUT_S: Final = 300.0
SETTLE_TIMEOUT_S: Final = 60.0
"""How long a cell waits for versions that nobody asked for by name; they go on loading afterwards."""
COMPARED_ROWS: Final = 2000
BENCH_S: Final = 12.0
MAX_CURL_LINES: Final = 8
"""Models that get a command line in a status: each costs a question to the engine."""


class Server(ServerHandle):
    """A running model server. Shows itself as its models, versions, labels and addresses.

    Every method blocks; failures are `ServingError` with a hint. Where `model` may be left out, it is the one
    that is served.
    """

    def __init__(
        self, engine: Engine, notes: tuple[str, ...] = (), discovery: Discovery = THIS_KERNEL
    ) -> None:
        super().__init__(engine, notes)
        self._discovery = discovery
        self._questions = Questions(self)

    def open(self, path: str | os.PathLike[str], name: str | None = None) -> tuple[str, ...]:
        """Serve the models under `path` as well; their names, once their versions are up or have failed."""
        folder = Path(os.path.expanduser(path)).absolute()
        self._root = folder
        if name is None and is_empty(folder):
            # The engine would take an empty folder for a model of that name. Saving makes a missing one.
            text = f"{path} holds no models yet: `%tfserve save model --name NAME` puts the first one there."
            self._note(text, lambda _: is_empty(folder))
            return ()
        opened = self.client.open(str(folder), name, create=not folder.exists())
        about = chosen_versions(self.client.state(), opened.models) if opened.notes else {}
        for note in opened.notes:
            self._note(note, lambda state: chosen_versions(state, opened.models) == about)
        with cell_progress() as say:
            is_settled = settle(self.client, opened.models, SETTLE_TIMEOUT_S, say)
        if not is_settled:
            text = "Some versions are still loading: `%tfserve status` shows where they are."
            self._note(text, lambda state: are_moving(state, opened.models))
        return opened.models

    def status(self) -> Status:
        """What runs now, for reading: models, versions, labels, addresses, and a command for each model."""
        state = with_failures(self.client.state())
        figures = self.figures().models
        models = [
            model_view(
                model,
                self._questions.curl(model.name, state.engine.rest_url) if index < MAX_CURL_LINES else "",
                figures.get(model.name, {}),
            )
            for index, model in enumerate(state.models)
        ]
        engine = self._engine
        return Status(
            state.engine,
            tuple(models),
            engine.owner,
            engine.jupyter_url,
            self._notes_now(state),
            engine.name,
            time.time(),
        )

    def panel(self, model: str | None = None) -> Panel:
        """A live panel of the models, `model` first: versions, labels, traffic, log and history, with controls.

        It follows the engine, also over its restarts, from when it is shown until it is closed. NOT_FOUND for an
        unknown model.
        """
        from jupyter_tfserve.notebook.panel.panel import Panel

        name = None if model is None else self.model(model).name
        return Panel(self._engine, self._discovery.find, self._repr_mimebundle_, name)

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that are served now."""
        return self.status().models

    def save(
        self,
        obj: object,
        name: str | None = None,
        *,
        label: str | None = None,
        like: object | None = None,
        warm_up: bool = True,
        timeout_s: float = LOAD_TIMEOUT_S,
    ) -> Saved:
        """Save a Keras model, tf.Module or tf.function as the model's next version, and serve it.

        Returns when the version is AVAILABLE (and `label` names it). One that does not load is taken back and its
        error raised.
        `like` is an example input: it tells what the object takes, and the served version must answer it as the
        object does, else the version is taken back and FAILED_PRECONDITION raised. Interrupted, nothing is left.
        Its first rows are kept beside the model, to warm the version up whenever it is loaded, unless `warm_up` is
        False.
        """
        with cell_progress() as say:
            return Publication(self.client, self._root, say).save(
                obj, name, label=label, like=like, warm_up=warm_up, timeout_s=timeout_s
            )

    def version(self, version: int, model: str | None = None) -> Version:
        """One version as it is now. NOT_FOUND when the engine knows no such version."""
        state = self.model(model)
        for item in state.versions:
            if item.version == version:
                return version_view(state.name, item, state.labels)
        known = ", ".join(str(item.version) for item in state.versions) or "none"
        raise ServingError(
            Code.NOT_FOUND, f"Model {state.name} has no version {version}.", f"Its versions: {known}."
        )

    def wait(self, version: int, model: str | None = None, timeout_s: float = LOAD_TIMEOUT_S) -> Version:
        """The version once it is AVAILABLE. Raises its own error when it does not load."""
        state = self.model(model)
        with cell_progress() as say:
            reached = await_version(self.client, state, version, timeout_s, say)
        return version_view(state.name, reached, state.labels)

    def label(self, name: str, version: int, model: str | None = None) -> int | None:
        """Point the label at a version, at once for every request; returns the version it named before.

        FAILED_PRECONDITION, with the next step as its hint, when that version is not served.
        """
        state = self.client.state()
        known = choose_model(state, model)
        try:
            return self.client.set_label(known.name, name, version)
        except ServingError as error:
            if error.code is not Code.FAILED_PRECONDITION:
                raise
            raise ServingError(error.code, error.message, next_step(state, known, version)) from error

    def unlabel(self, name: str, model: str | None = None) -> int:
        """Take the label away; returns the version it named."""
        return self.client.remove_label(self.model(model).name, name)

    def versions(self, kind: str, *numbers: int, model: str | None = None) -> None:
        """Choose the versions to serve: `("all")`, `("latest", 2)` or `("specific", 1, 2)`, which must be there."""
        policy = parse_policy(kind, numbers)
        self._serve(self.model(model).name, policy)

    def load(self, version: int, model: str | None = None) -> Version:
        """Serve one more version, or try one again that failed; the others stay. Returns when it is AVAILABLE."""
        known = self.model(model)
        has_failed = any(v.version == version and v.error_message for v in known.versions)
        if not (has_failed and self.client.load(known.name, version)):
            self._serve(known.name, policy_with(known, version))
        return self.wait(version, known.name)

    def unload(self, version: int, model: str | None = None) -> None:
        """Serve one version less. FAILED_PRECONDITION while a label names it."""
        known = self.model(model)
        self._serve(known.name, policy_without(known, version))

    def rollback(self, model: str | None = None) -> str:
        """Undo the last change of a label or of the served versions; says what was done. Twice is no change.

        A version that is not loaded is loaded before its label goes back to it.
        """
        undo = find_undo(self.history(MAX_EVENTS).events, model)
        with cell_progress() as say:
            done = apply_undo(self.client, undo, say)
            settle(self.client, [undo.model], SETTLE_TIMEOUT_S, say)
        return done

    def share(
        self,
        *models: str,
        name: str = "",
        expires: str = DEFAULT_EXPIRY,
        rate: str | None = None,
        burst: int | None = None,
    ) -> SharedKey:
        """A key for others: it opens these models (`"*"`: all) until `expires` (`"2h"`, `"never"`), at most at `rate`.

        The key is in the result's `file` and `key`, and in no output.
        """
        try:
            expires_s = None if expires == NEVER else parse_duration(expires)
            limits = {"requests_per_second": parse_rate(rate) if rate else None, "burst": burst}
        except ValueError as error:
            raise invalid_argument(f"{error}.") from None
        curl = "" if not models or models[0] == "*" else self._questions.curl(models[0], self.rest_url)
        return share(self.client, models, name, expires_s, limits, curl)

    def query(self, target: str, inputs: object, signature_name: str = "") -> Tensor | dict[str, Tensor]:
        """Ask `MODEL`, `MODEL@LABEL` or `MODEL/VERSION`; returns the answer as numpy.

        `inputs`: rows (a list or array), columns (a dict by input name), or a whole REST request. An input that
        the model does not take is INVALID_ARGUMENT; the hint says where it differs from the signature.
        """
        return self.ask(parse_target(target, signature_name), inputs).value

    def ask(self, spec: ModelSpec, inputs: object, source: str = "x") -> Reply:
        """As `query`, with all that is known of the exchange. `source`: what hints shall call the rows."""
        return self._questions.ask(spec, inputs, source)

    def predict(
        self,
        model: str,
        inputs: object,
        *,
        version: int | None = None,
        label: str | None = None,
        signature_name: str = "",
    ) -> Tensor | dict[str, Tensor]:
        """As `query`, with the version and the label as values of their own."""
        if version is not None and label is not None:
            raise invalid_argument("Name a version or a label, not both.")
        return self.ask(ModelSpec(model, version, label, signature_name), inputs).value

    def compare(
        self,
        a: str,
        b: str,
        on: object,
        y: object | None = None,
        *,
        output: str | None = None,
        limit: int = COMPARED_ROWS,
    ) -> Comparison:
        """Ask two models, labels or versions the first `limit` of the rows `on`, and set their answers side by side.

        With the true values `y` each gets its scores: accuracy for classes, MAE and RMSE for numbers.
        """
        return self._questions.compare(a, b, on, y, output, limit)

    def bench(
        self,
        target: str,
        on: object | None = None,
        *,
        model: object | None = None,
        seconds: float = BENCH_S,
    ) -> Bench:
        """Load the model for about `seconds` by a process of its own, and measure its answers.

        `on` are the rows of each request (one real row without it). `model` is the same model in this kernel,
        which is then timed as well, without any server.
        """
        return self._questions.bench(target, on, model, seconds)

    def tune(
        self,
        target: str,
        on: object | None = None,
        *,
        p99_ms: float | None = None,
        rate: float | None = None,
        seconds: float = TUNE_S,
        apply: bool = False,
    ) -> Tuning:
        """Try batch settings on the live server for about `seconds`, and recommend one; with `apply` it is kept.

        The highest throughput of those whose p99 keeps `p99_ms` at `rate` requests a second. `on` as for `bench`.
        """
        return self._questions.tune(target, on, TuneWish(p99_ms, rate, seconds, apply))

    def snippets(
        self,
        target: str | None = None,
        languages: Sequence[str] = LANGUAGES,
        *,
        row: object | None = None,
        via: Via | None = None,
    ) -> Snippets:
        """Clients that ask `MODEL`, `MODEL@LABEL` or `MODEL/VERSION` one real row, by language.

        The row is `row`, or the first one of the last question to that model, or one made for its signature.
        `via` Jupyter needs a token, which the snippets read from the environment.
        """
        return self._questions.snippets(target, languages, row, via)

    def doctor(self) -> Diagnosis:
        """As the function `doctor`, for this server."""
        return diagnose(look_around(self.status()))

    def curl(self, model: str | None = None) -> str:
        """A command that asks the model something real from any terminal; empty when REST cannot."""
        return self._questions.curl(self.model(model).name, self.rest_url)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        try:
            return self.status()._repr_mimebundle_()
        except ServingError as error:
            return {"text/plain": f"Model server: {error.message}"}

    def _serve(self, model: str, policy: Mapping[str, Any]) -> None:
        self.client.set_policy(model, policy)
        self.client.refresh(model)
        with cell_progress() as say:
            settle(self.client, [model], SETTLE_TIMEOUT_S, say)
