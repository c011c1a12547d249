"""GPUs and replicas, in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from jupyter_tfserve.engine.client_state import Device, Replica

GIB: Final = 2**30


def describe_device(device: Device) -> str:
    """`NVIDIA H200, 3.1 of 139.8 GiB used`."""
    if device.memory_bytes is None or device.used_bytes is None:
        return device.model
    return f"{device.model}, {device.used_bytes / GIB:.1f} of {device.memory_bytes / GIB:.1f} GiB used"


def describe_replicas(replicas: Sequence[Replica]) -> str:
    """`2 processes on GPU:0, GPU:1`; empty for what needs no word: one process on the CPU, or none."""
    if not replicas or [replica.device for replica in replicas] == ["CPU"]:
        return ""
    counts = Counter(replica.device for replica in replicas)
    places = ", ".join(
        device if count == 1 or len(counts) == 1 else f"{device} ({count})"
        for device, count in sorted(counts.items())
    )
    noun = "process" if len(replicas) == 1 else "processes"
    return f"{len(replicas)} {noun} on {places}"
