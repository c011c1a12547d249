"""The end of the engine's parent, seen even if the parent is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys


async def parent_ended(parent: int) -> None:
    """Returns when `parent`, as its number was at our start, has closed its end of our standard input, or has ended.

    The pipe alone would not tell while somebody lives who was forked from the parent with a copy of its end; the
    process alone would not tell where the system has no descriptors of processes.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.ExitStack() as watching:
        with contextlib.suppress(AttributeError, OSError):
            descriptor = os.pidfd_open(parent)
            watching.callback(os.close, descriptor)
            loop.add_reader(descriptor, reader.feed_eof)
            watching.callback(loop.remove_reader, descriptor)
        if os.getppid() != parent:  # it has ended before, and what was opened is another process
            return
        while await reader.read(4096):
            pass
