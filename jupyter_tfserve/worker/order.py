"""What the engine asks a new process to do, and how that is framed for the fork server. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

LENGTH: Final = struct.Struct("<I")
"""Before each message to the fork server: how long its JSON is."""

MAX_SOCKETS: Final = 128
"""So many may travel with one message: a worker's control socket and its lanes."""


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is to load, and with how many threads (0: TensorFlow chooses). Travels as JSON."""

    path: str
    tags: tuple[str, ...]
    intra_op_parallelism: int
    inter_op_parallelism: int
