"""What the flags say: their values by type, and the text of the files that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyter_tfserve.engine.flags import DEFAULTS, Value
from jupyter_tfserve.errors import invalid_argument


@dataclass(frozen=True, slots=True)
class FlagValues:
    """Every flag's value. REQUIRES: each is asked for as what its default is."""

    values: Mapping[str, Value]

    def text(self, name: str) -> str:
        """The value of a flag that is text."""
        return str(self.values[name])

    def integer(self, name: str) -> int:
        """The value of a flag that is a whole number."""
        return int(self.values[name])

    def number(self, name: str) -> float:
        """The value of a flag that may be a fraction."""
        return float(self.values[name])

    def is_set(self, name: str) -> bool:
        """Whether a flag that is true or false is true."""
        return bool(self.values[name])

    def is_changed(self, name: str) -> bool:
        """Whether the flag has another value than its default."""
        return self.values[name] != DEFAULTS[name]

    def path(self, name: str) -> Path | None:
        """The absolute path that a flag gives, or None."""
        return Path(self.text(name)).expanduser().absolute() if self.text(name) else None


def read_text(file: str) -> str:
    """The text of a file that a flag names; INVALID_ARGUMENT saying why it can't be read."""
    try:
        return Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise invalid_argument(f"Can't read '{file}': {reason}") from None
