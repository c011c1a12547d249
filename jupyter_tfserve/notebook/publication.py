"""A model of the notebook becomes a served version: saved, loaded and warmed up, compared with the original, labelled.

Until the label is set every step can be taken back: an interrupt, or a version that does not load or answers
otherwise than the notebook's model, leaves the folder and the server as they were.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.codec.mismatch import describe_spec
from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.label_steps import lost_labels
from jupyter_tfserve.notebook.placement import choose_model, place_version
from jupyter_tfserve.notebook.progress import Say
from jupyter_tfserve.notebook.save import folder_bytes, save_version, withdraw_version
from jupyter_tfserve.notebook.verify import Check, RowsDoNotFit, check_version
from jupyter_tfserve.notebook.waiting import LoadFailed, await_version
from jupyter_tfserve.notebook.warmup_records import WarmUp
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Signature, TensorSpec

NO_EXAMPLE: Final = "give example rows with --like, for example --like x_train[:4]"
SWITCHED_OFF: Final = "no, as you said"
RECENT_EVENTS: Final = 200
"""Among which the replay of a version that was just loaded must be."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A version that was saved and is served. Shows itself as a card."""

    model: str
    version: int
    state: str
    labels: tuple[str, ...]
    takes: str
    gives: str
    check: Check
    warmup: str
    size_bytes: int
    elapsed_s: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The plain text that a terminal shows."""
        lines = [self._heading(), *(f"  {name:<7} {text}" for name, text in self._rows())]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = "".join(
            f"<tr><td style='text-align:left;opacity:0.75'>{name}</td>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self._rows()
        )
        notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in self.notes)
        html = f"<div><strong>{escape(self._heading())}</strong><table>{rows}</table>{notes}</div>"
        return {"text/plain": str(self), "text/html": html}

    def _heading(self) -> str:
        labels = f" ({', '.join(self.labels)})" if self.labels else ""
        return f"{self.model} version {self.version}: {self.state}{labels}"

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield "takes", self.takes
        yield "gives", self.gives
        yield "check", str(self.check)
        yield "warm-up", self.warmup
        yield "size", f"{_size(self.size_bytes)}, saved and loaded in {self.elapsed_s:.1f} s"


class Publication:
    """Publishes models through one engine. `root` is the folder that the user opened, if it is known."""

    def __init__(self, client: ControlClient, root: Path | None, say: Say) -> None:
        self._client = client
        self._root = root
        self._say = say

    def save(
        self,
        obj: object,
        name: str | None,
        *,
        label: str | None,
        like: object | None,
        warm_up: bool,
        timeout_s: float,
    ) -> Saved:
        """`obj` as the model's next version; see `Server.save`."""
        began = time.monotonic()
        state = self._client.state()
        base_path, model = place_version(state, self._root, name)
        self._say(f"Saving a version of {model}", None)
        is_new = all(known.name != model for known in state.models)
        recorded = WarmUp(model, obj, like) if warm_up and like is not None else None
        version = save_version(obj, base_path, like, None if recorded is None else recorded.write)
        with self._taken_back(base_path, model, version, is_new):
            if is_new:
                self._client.open(str(base_path), model, create=False)
            self._client.refresh(model)
            known = choose_model(self._client.state(), model)
            await_version(self._client, known, version, timeout_s, self._say)
            check = self._check(model, version, obj, like)
        if label is not None:
            self._client.set_label(model, label, version)
        missing = SWITCHED_OFF if recorded is None else recorded.missing
        warmup = NO_EXAMPLE if like is None else missing or self._warmed(model, version)
        return self._saved(model, version, check, warmup, base_path, time.monotonic() - began)

    def _warmed(self, model: str, version: int) -> str:
        """What the server's history says of the replay, the newest first."""
        for event in self._client.history(RECENT_EVENTS):
            if (event["kind"], event["model"], event["version"]) == ("warmup", model, version):
                return str(event["detail"])
        return "requests are recorded, and this server replays none"

    def _check(self, model: str, version: int, obj: object, like: object | None) -> Check:
        if like is None:
            return Check(reason=NO_EXAMPLE)
        self._say(f"Comparing version {version} of {model} with the model in this notebook", None)
        check = check_version(self._client, model, version, obj, like)
        if not check.agrees:
            raise _Differs(check)
        return check

    @contextlib.contextmanager
    def _taken_back(self, base_path: Path, model: str, version: int, is_new: bool) -> Iterator[None]:
        """A version that cannot be served would be tried again at every start, in place of one that can."""
        try:
            yield
        except (KeyboardInterrupt, _Differs, RowsDoNotFit, LoadFailed) as reason:
            withdraw_version(base_path, version)
            # The server may be what is gone: the folder is right all the same.
            with contextlib.suppress(ServingError):
                self._client.remove_model(model) if is_new else self._client.refresh(model)
            if isinstance(reason, KeyboardInterrupt):
                raise
            if isinstance(reason, ServingError):
                hint = "The version was taken back; for callers nothing has changed."
                raise ServingError(reason.code, reason.message, hint) from None
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"The saved model is not the one in this notebook: {reason.check}.",
                "The version was taken back. Build the model anew, or save it with less state outside of it.",
            ) from None

    def _saved(
        self, model: str, version: int, check: Check, warmup: str, base_path: Path, elapsed_s: float
    ) -> Saved:
        state = self._client.state()
        known = choose_model(state, model)
        reached = next((item for item in known.versions if item.version == version), None)
        signature = self._signature(known, version)
        return Saved(
            model,
            version,
            "END" if reached is None else reached.state,
            tuple(sorted(label for label, number in known.labels.items() if number == version)),
            _specs({} if signature is None else signature.inputs),
            _specs({} if signature is None else signature.outputs),
            check,
            warmup,
            folder_bytes(base_path / str(version)),
            elapsed_s,
            lost_labels(state, known),
        )

    def _signature(self, model: ModelState, version: int) -> Signature | None:
        try:
            return self._client.signatures(model.name, version)[1].get(DEFAULT_SIGNATURE)
        except ServingError:
            # It may be gone again already: another saver was faster.
            return None


class _Differs(Exception):
    """The served version answers otherwise than the notebook's model."""

    def __init__(self, check: Check) -> None:
        super().__init__(str(check))
        self.check = check


def _specs(specs: Mapping[str, TensorSpec]) -> str:
    return ", ".join(f"{alias} {describe_spec(spec)}" for alias, spec in sorted(specs.items())) or "nothing"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
