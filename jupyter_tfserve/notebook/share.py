"""Keys for others: made, listed and revoked; the key itself goes to a file, never into a notebook's output.

Outputs are saved with the notebook and end in repositories, and every way to show something only once still hands it
to the saved document for a while. So a key lies in a file for this user alone, as the header that curl reads
(`-H @FILE`): not in the output, not in the command, not in `ps`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.engine.connection import runtime_directory
from jupyter_tfserve.notebook.amounts import describe_limits

OPEN_NOTE: Final = (
    "This server answers without a key too: the key's limits hold for whoever sends it. To close the ports to all "
    "others: `%tfserve stop`, then `%tfserve start PATH --require-keys`."
)
_HEADER: Final = "Authorization: Bearer "


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key as anyone may see it."""

    id: str
    models: tuple[str, ...]
    name: str = ""
    expires: float | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    is_expired: bool = False

    def __str__(self) -> str:
        """One line."""
        name = f" ({self.name})" if self.name else ""
        until = "expired" if self.is_expired else f"until {_when(self.expires)}"
        return f"{self.id}  {', '.join(self.models)}  {until}  {describe_limits(self.limits)}{name}"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a server, in the order in which they were made."""

    keys: tuple[KeyInfo, ...]
    required: bool

    def __str__(self) -> str:
        """A line for each."""
        lines = [str(key) for key in self.keys] or ["There are no keys: `%tfserve share MODEL` makes one."]
        return "\n".join([*lines, "Requests need a key." if self.required else "Requests need no key."])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key that was just made. `key` is the key; nothing that shows itself does."""

    info: KeyInfo
    file: Path
    curl: str = ""
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key itself, out of its file. Whoever has it can ask; what prints it ends in the notebook."""
        return self.file.read_text(encoding="utf-8").strip().removeprefix(_HEADER)

    def __str__(self) -> str:
        """What a person needs, without the key."""
        lines = [
            f"Key {self.info.id} opens {', '.join(self.info.models)} until {_when(self.info.expires)} "
            f"({describe_limits(self.info.limits)}).",
            f"It lies in {self.file}, which only you can read, and is shown nowhere: outputs are saved.",
            *([self.curl] if self.curl else []),
            f"`%tfserve unshare {self.info.id}` revokes it.",
            *(f"Note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


def share(
    client: ControlClient,
    models: Sequence[str],
    name: str,
    expires_s: float | None,
    limits: Mapping[str, Any],
    curl: str = "",
    directory: Path | None = None,
) -> SharedKey:
    """A new key for `models`, kept in a file. `curl` is a command without a key, which gets this one.

    If the file cannot be written the key is revoked: nobody would ever know it.
    """
    reply = client.add_key({"models": list(models), "name": name, "expires_s": expires_s, **limits})
    info = _key_info(reply)
    file = _key_file(info.id, directory)
    try:
        _write_private(file, f"{_HEADER}{reply['key']}\n")
    except OSError:
        client.remove_key(info.id)
        raise
    command = curl.replace("curl ", f"curl -H @{shlex.quote(str(file))} ", 1)
    return SharedKey(info, file, command, () if reply["required"] else (OPEN_NOTE,))


def unshare(client: ControlClient, key_id: str, directory: Path | None = None) -> None:
    """Revokes the key, on open connections too, and removes its file. NOT_FOUND if there is none of that id."""
    client.remove_key(key_id)
    with contextlib.suppress(OSError):
        _key_file(key_id, directory).unlink()


def list_keys(client: ControlClient) -> Keys:
    """The keys that the server knows."""
    reply = client.keys()
    return Keys(tuple(_key_info(key) for key in reply["keys"]), bool(reply["required"]))


def _key_info(document: Mapping[str, Any]) -> KeyInfo:
    return KeyInfo(
        document["id"],
        tuple(document["models"]),
        document.get("name") or "",
        document.get("expires"),
        document.get("limits") or {},
        bool(document.get("is_expired")),
    )


def _key_file(key_id: str, directory: Path | None) -> Path:
    # Not `tfserve-*.json`: those are connection files.
    return (directory or runtime_directory()) / f"tfserve-key-{key_id}.header"


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _when(expires: float | None) -> str:
    return "it is revoked" if expires is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(expires))
