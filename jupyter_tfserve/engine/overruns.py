"""What a version's owner is told of batches that are not over when their callers' time is. Pure."""

from __future__ import annotations


def overruns_told(overruns: int, batches: int) -> str | None:
    """The line for the history at the 1st, 10th, 100th, … of them, None at the others: a caller who gives too little
    time must not fill it.
    """
    if overruns < 1 or overruns != 10 ** (len(str(overruns)) - 1):
        return None
    which = (
        "1 batch was not over before its"
        if overruns == 1
        else f"{overruns} batches were not over before their"
    )
    return f"{which} callers' deadlines, of {batches} that the version has run"
