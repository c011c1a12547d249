"""The desired state on disk: one JSON file, old or new, never half of one.

Every save goes to a temporary file in the same folder, is synced, renamed over the old one, and the folder is
synced. Blocking: call from a thread.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.batching_settings import batching_from_json
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.config_proto import json_from_models, models_from_json
from jupyter_tfserve.lifecycle.desired import DesiredState, checked_replicas
from jupyter_tfserve.lifecycle.keys import key_from_state, key_to_state
from jupyter_tfserve.lifecycle.limits import limits_from_json
from jupyter_tfserve.lifecycle.read_only import why_read_only

FILE_NAME: Final = "models.json"
FORMAT: Final = 1
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HINT: Final = "See that the server may read and write its state folder, then try again."
_HINT_FULL: Final = "Make room on the disk of the server's state folder, then try again."


@dataclass(frozen=True, slots=True)
class LoadedState:
    """The state as it was found, and what a person should know about it."""

    state: DesiredState
    notes: tuple[str, ...] = ()


class StateStore:
    """Keeps the desired state in `state_dir` (made if missing, for this user only); None keeps nothing.

    Nor is anything kept in a folder that could not be written when it was loaded from: who starts there is told so,
    and served from memory. One that cannot be written any more refuses changes.
    """

    def __init__(self, state_dir: Path | None) -> None:
        self.state_dir = state_dir
        self._is_kept = state_dir is not None

    def load(self) -> LoadedState:
        """The state that was saved last; empty if there is none.

        A file that cannot be understood is kept beside as `models.json.corrupt` and named in the notes.
        FAILED_PRECONDITION if the file cannot be read.
        """
        if self.state_dir is None:
            return LoadedState(DesiredState())
        loaded, reason = self._read(self.state_dir), why_read_only(self.state_dir)
        self._is_kept = reason is None
        if reason is None:
            return loaded
        note = f"The state folder cannot be written ({reason}): changes hold until this server ends, and no longer"
        return LoadedState(loaded.state, (*loaded.notes, note))

    def _read(self, state_dir: Path) -> LoadedState:
        path = state_dir / FILE_NAME
        try:
            return LoadedState(_decode(path.read_bytes()))
        except FileNotFoundError:
            return LoadedState(DesiredState())
        except OSError as error:
            raise _refusal("read", error) from None
        except (ValueError, TypeError, KeyError, AttributeError, ServingError):
            return self._set_aside(path)

    def save(self, state: DesiredState) -> None:
        """Returns when `state` is on disk for good; otherwise the state before is still there.

        FAILED_PRECONDITION if it cannot be written, with the reason.
        """
        if self.state_dir is None or not self._is_kept:
            return
        content = _encode(state)
        temporary = self.state_dir / f"{FILE_NAME}.tmp"
        try:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_synced(temporary, content)
            os.replace(temporary, self.state_dir / FILE_NAME)
            _sync_folder(self.state_dir)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise _refusal("saved", error) from None

    def _set_aside(self, path: Path) -> LoadedState:
        aside = path.with_name(f"{FILE_NAME}.corrupt")
        try:
            os.replace(path, aside)
        except OSError as error:
            raise _refusal("read", error) from None
        note = f"The saved state could not be understood; it was kept as {aside.name} and nothing is served."
        return LoadedState(DesiredState(), (note,))


def _encode(state: DesiredState) -> bytes:
    document = {
        "format": FORMAT,
        "models": _list_to_json(state.models),
        "remembered": _list_to_json(state.remembered),
        "keys": [key_to_state(key) for key in state.keys],
        "limits": {name: limits.to_json() for name, limits in state.limits.items()},
        "batching": {name: batching.to_json() for name, batching in state.batching.items()},
        "replicas": dict(state.replicas),
    }
    return json.dumps(document, indent=1).encode()


def _decode(content: bytes) -> DesiredState:
    document = json.loads(content)
    if document["format"] != FORMAT:
        raise ValueError("unknown format")
    return DesiredState(
        _list_from_json(document["models"]),
        _list_from_json(document["remembered"]),
        # Absent from what an older version wrote.
        tuple(key_from_state(key) for key in document.get("keys", ())),
        {name: limits_from_json(limits) for name, limits in document.get("limits", {}).items()},
        {name: batching_from_json(each) for name, each in document.get("batching", {}).items()},
        {name: checked_replicas(count) for name, count in document.get("replicas", {}).items()},
    )


def _list_to_json(models: tuple[ModelConfig, ...]) -> dict[str, Any]:
    """The models as ModelServerConfig's JSON, and beside it what that message cannot hold."""
    return {
        "config": json_from_models(models),
        "single_versions": [m.single_version for m in models],
        "keeps_labelled": [m.keeps_labelled for m in models],
    }


def _list_from_json(document: Mapping[str, Any]) -> tuple[ModelConfig, ...]:
    models = models_from_json(document["config"])
    versions = document["single_versions"]
    if len(models) != len(versions) or not all(v is None or type(v) is int for v in versions):
        raise ValueError("single_versions do not match the models")
    kept = document["keeps_labelled"]
    if len(models) != len(kept) or not all(type(k) is bool for k in kept):
        raise ValueError("keeps_labelled do not match the models")
    return tuple(
        replace(m, single_version=v, keeps_labelled=k) for m, v, k in zip(models, versions, kept, strict=True)
    )


def _write_synced(path: Path, content: bytes) -> None:
    # A file that a crash left behind may have any mode; a new one has ours.
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(verb: str, error: OSError) -> ServingError:
    """FAILED_PRECONDITION for a full disk too: no repetition helps before somebody has made room, and what
    RESOURCE_EXHAUSTED is over HTTP, 429, has clients repeat it by themselves.
    """
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    hint = _HINT_FULL if error.errno in _FULL else _HINT
    return ServingError(Code.FAILED_PRECONDITION, f"The server's state cannot be {verb}: {reason}", hint)
