"""What `%%tfserve query` returns: numpy as it came, which a notebook shows as a table with bars and thumbnails.

The answer is an array (several outputs: a dict of arrays), so that `_.mean()` and the like just work; whatever
is computed from it is plain numpy again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jupyter_tfserve.notebook.answer_table import answer_table
from jupyter_tfserve.notebook.reply import Reply
from jupyter_tfserve.types import Tensor


class ArrayAnswer(np.ndarray[Any, np.dtype[Any]]):
    """One output. `reply` is what it answers."""

    reply: Reply | None = None

    def __array_wrap__(self, array: Tensor, context: Any = None, return_scalar: bool = False) -> Any:
        """What a ufunc or a reduction gives: plain numpy."""
        plain = np.asarray(array)
        return plain[()] if plain.ndim == 0 else plain

    def __getitem__(self, key: Any) -> Any:
        """A part of the answer: plain numpy."""
        return np.asarray(self)[key]

    def __repr__(self) -> str:
        """numpy's own."""
        return repr(np.asarray(self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # Text is the array's own; copies and views know no request and are shown as numbers.
        return {} if self.reply is None else {"text/html": answer_table(self.reply)}


class TensorsAnswer(dict[str, Tensor]):
    """Several outputs by alias. `reply` is what they answer."""

    reply: Reply | None = None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {} if self.reply is None else {"text/html": answer_table(self.reply)}


def answer_of(reply: Reply) -> ArrayAnswer | TensorsAnswer:
    """The reply's value, which shows itself."""
    if isinstance(reply.value, dict):
        answer: ArrayAnswer | TensorsAnswer = TensorsAnswer(reply.value)
    else:
        answer = reply.value.view(ArrayAnswer)
    answer.reply = reply
    return answer
