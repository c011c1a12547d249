"""The words of a magic's line: a shell's, but a Python expression with brackets is one word, as it is written. Pure."""

from __future__ import annotations

import shlex

_OPENING = dict(zip("([{", ")]}", strict=True))


def split_words(line: str) -> list[str]:
    """The words. ValueError says which quotation mark or bracket is not closed."""
    words: list[str] = []
    start = 0
    while start < len(line):
        if line[start].isspace():
            start += 1
            continue
        end, has_brackets = _end_of_word(line, start)
        word = line[start:end]
        # A shell would take the quotation marks out of an expression, and break it at its blanks.
        words.extend([word] if has_brackets else shlex.split(word))
        start = end
    return words


def _end_of_word(line: str, start: int) -> tuple[int, bool]:
    """Where the word that begins at `start` ends, and whether it has brackets outside of quotation marks."""
    closing: list[str] = []
    quote = ""
    has_brackets = is_escaped = False
    for index in range(start, len(line)):
        character = line[index]
        if is_escaped or character == "\\":
            is_escaped = not is_escaped
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            has_brackets = True
            closing.append(_OPENING[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif character.isspace() and not closing:
            return index, has_brackets
    if quote:
        raise ValueError("No closing quotation")
    if closing:
        raise ValueError(f"No closing {closing[-1]}")
    return len(line), has_brackets
