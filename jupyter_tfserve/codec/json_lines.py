"""On which line of a JSON text something stands, for errors about what parses but means nothing. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

Path: TypeAlias = "tuple[str | int, ...]"
"""Names and indices from the root inwards."""

_MARK: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def json_lines(text: str) -> Iterator[tuple[Path, int]]:
    """Every member and element of a text that is JSON, in order, with the line on which it begins (from 1)."""
    line, counted = 1, 0
    here: list[str | int | None] = []
    for match in _MARK.finditer(text):
        mark = match[0]
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        if mark in "}]":
            here.pop()
        elif mark == ",":
            last = here[-1]
            here[-1] = last + 1 if isinstance(last, int) else None
        elif here and here[-1] is None:
            here[-1] = json.loads(mark)
            yield _path(here), line
        elif mark != ":":
            if here and isinstance(here[-1], int):
                yield _path(here), line
            if mark in "{[":
                here.append(None if mark == "{" else 0)


def repeated_name(text: str) -> tuple[Path, int] | None:
    """The first member whose name its object has already, with its line; None if there is none."""
    seen: set[Path] = set()
    for path, line in json_lines(text):
        if path in seen:
            return path, line
        seen.add(path)
    return None


def refused_path(document: Any, is_refused: Callable[[Any], bool]) -> Path:
    """The innermost member of `document` that is refused when it stands alone on its path.

    REQUIRES: the whole is refused. Empty if no single member is to blame.
    """
    path: list[str | int] = []
    value = document
    while not path or not is_refused(_alone(path, type(value)())):
        for key, member in _members(value):
            if is_refused(_alone([*path, key], member)):
                path.append(key)
                value = member
                break
        else:
            break
    return tuple(path)


def path_text(path: Path) -> str:
    """`model_config_list.config[0].name`"""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _members(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _alone(path: list[str | int], value: Any) -> Any:
    """A document that has `value` on `path` and nothing else; a list has that one element."""
    for key in reversed(path):
        value = [value] if isinstance(key, int) else {key: value}
    return value


def _path(here: list[str | int | None]) -> Path:
    return tuple(key for key in here if key is not None)
