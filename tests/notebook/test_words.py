"""Words of a magic's line: paths as in a shell, expressions as they are written."""

from __future__ import annotations

import pytest

from jupyter_tfserve.notebook.words import split_words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("start ./saved_models --name m", ["start", "./saved_models", "--name", "m"]),
        ("start './my models'  ", ["start", "./my models"]),
        ('start "a (copy)/m"', ["start", "a (copy)/m"]),
        ("start my\\ models", ["start", "my models"]),
        ("save net --like xs['a'] --label t", ["save", "net", "--like", "xs['a']", "--label", "t"]),
        ("save net --like np.ones((1, 2))", ["save", "net", "--like", "np.ones((1, 2))"]),
        ("save net --like {'x': x[:2], 'y': 1}", ["save", "net", "--like", "{'x': x[:2], 'y': 1}"]),
        ("save net --like 'x[:4]'", ["save", "net", "--like", "x[:4]"]),
        ("save net --like f(']')", ["save", "net", "--like", "f(']')"]),
        ("", []),
    ],
)
def test_words_are_those_of_a_shell_but_for_expressions(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("line", "reason"),
    [("start 'a", "quotation"), ("save n --like f(1", r"closing \)"), ("query [1", "closing")],
)
def test_open_end_is_named(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split_words(line)
