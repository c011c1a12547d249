"""On which GPU a version's next process runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.types import ServableId
from jupyter_tfserve.worker.devices import Gpu

SHARES: Final = 8
"""Free memory counts in such parts of a GPU: smaller differences come and go, and workers count more then."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """A worker on a GPU, or one that is being started there."""

    servable: ServableId
    gpu: str


def choose_gpu(gpus: Sequence[Gpu], occupants: Sequence[Occupant], servable: ServableId) -> Gpu | None:
    """The GPU for one more process of `servable`; None where there is no GPU.

    One that has the fewest of the same version, so that replicas are spread; of these the one with the most free
    memory, which training in a notebook may have taken; of these the one with the fewest workers.
    """

    def rank(gpu: Gpu) -> tuple[int, int, int, int]:
        here = [occupant for occupant in occupants if occupant.gpu == gpu.name]
        own = sum(occupant.servable == servable for occupant in here)
        return own, -_free_shares(gpu), len(here), gpu.number

    return min(gpus, key=rank, default=None)


def _free_shares(gpu: Gpu) -> int:
    if not gpu.memory_bytes or gpu.used_bytes is None:
        return SHARES
    return round(SHARES * (1 - gpu.used_bytes / gpu.memory_bytes))
