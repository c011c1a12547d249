"""What the engine asks a new process to do, and how that is framed for the fork server. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

LENGTH: Final = struct.Struct("<I")
"""Before each message to the fork server: how long its JSON is."""

MAX_SOCKETS: Final = 128
"""So many may travel with one message: a worker's control socket, its side lane and its lanes."""

LITE_MODEL: Final = "model.tflite"
"""The file in a version's folder that is served in its SavedModel's place where that is wished."""

VISIBLE_DEVICES: Final = "CUDA_VISIBLE_DEVICES"
"""The variable that names the GPUs which a process may see."""

PROFILE_START: Final = "profile_start"
"""A call on the side lane: begin to record; its inputs are fields of TensorFlow's `ProfilerOptions`."""

PROFILE_STOP: Final = "profile_stop"
"""A call on the side lane: end, and give what was recorded as PROFILE, if that is anything."""

PROFILE: Final = "xspace"
"""An output: one serialized XSpace."""


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is to load, and with how many threads (0: TensorFlow chooses). Travels as JSON."""

    path: str
    tags: tuple[str, ...]
    intra_op_parallelism: int
    inter_op_parallelism: int
    session_config: str = ""
    """A serialized ConfigProto in base64."""
    xla_cpu_compilation_enabled: bool = False
    prefer_tflite_model: bool = False
    custom_op_libraries: tuple[str, ...] = ()
    max_memory_bytes: int = 0
    """What the model may take above what the process has before; 0: no limit."""
    gpu: str = ""
    """The one GPU that the process may see, as the driver calls it; empty: as the engine's environment has it."""
    gpu_memory_limit_mb: int = 0
    """What the process may take of its GPU; 0: what the session's config says, half of it if that says nothing."""
    is_gentle: bool = False
    """Load at a low priority, beside versions that serve."""
    probes_gpus: bool = False
    """Load nothing: report which GPUs TensorFlow sees, and end."""
