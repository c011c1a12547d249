"""How much of its GPU a session may take: as little as it needs, and never more than its share. Pure.

Runs in the worker's process; a ConfigProto is changed, nothing is asked of a device.
"""

from __future__ import annotations

from typing import Any, Final

DEFAULT_FRACTION: Final = 0.5
"""Of a GPU's memory, per process: another half is left to who trains beside."""


def limit_gpu_memory(config: Any, limit_mb: int) -> None:
    """Makes the ConfigProto's session grow into its share, up to `limit_mb` MiB.

    With 0 the limit is what the config says, half of the GPU if that says nothing.
    """
    options = config.gpu_options
    # Versions are processes that share a GPU: the first must not take all of its memory.
    options.allow_growth = True
    if limit_mb > 0:
        # TensorFlow takes one of the two.
        options.per_process_gpu_memory_fraction = 0
        del options.experimental.virtual_devices[:]
        options.experimental.virtual_devices.add(memory_limit_mb=[limit_mb])
    elif not options.per_process_gpu_memory_fraction and not options.experimental.virtual_devices:
        options.per_process_gpu_memory_fraction = DEFAULT_FRACTION
