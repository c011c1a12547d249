"""The GPUs that workers may use, found without importing TensorFlow here and without a context on any of them.

TensorFlow names them, in a process of its own that ends at once: one that has initialised CUDA could not be forked.
The driver's `nvidia-smi` says how full they are, where it is installed. Belongs to the engine's event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.worker.order import VISIBLE_DEVICES

logger = logging.getLogger(__name__)

CPU: Final = "CPU"
_DRIVERS: Final = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
_SMI: Final = "nvidia-smi"
_SMI_TIMEOUT_S: Final = 5.0
MEMORY_KEPT_S: Final = 5.0
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU. `number` is TensorFlow's, `visible` what the driver calls it; memory is None where nobody says it."""

    number: int
    visible: str
    model: str
    memory_bytes: int | None = None
    used_bytes: int | None = None

    @property
    def name(self) -> str:
        """As TensorFlow spells it: `GPU:0`."""
        return f"GPU:{self.number}"

    def to_json(self) -> dict[str, Any]:
        """As the state document shows it."""
        return {
            "name": self.name,
            "model": self.model,
            "memory_bytes": self.memory_bytes,
            "used_bytes": self.used_bytes,
        }


@dataclass(frozen=True, slots=True)
class SmiRow:
    """What nvidia-smi says of one GPU."""

    index: str
    uuid: str
    memory_bytes: int
    used_bytes: int


class Gpus:
    """Those of this machine; found once, their memory read when somebody wants to know.

    `probe` gives TensorFlow's list as `device_probe` writes it.
    """

    def __init__(self, probe: Callable[[], Awaitable[bytes]], is_likely: bool | None = None) -> None:
        self._probe = probe
        self._is_likely = may_have_gpus(os.environ) if is_likely is None else is_likely
        self._finding: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._read_at = 0.0
        self._found: tuple[Gpu, ...] = ()

    def start(self) -> None:
        """Looks for them, in the background; not at all where there is no driver of one."""
        if self._is_likely and self._finding is None:
            self._finding = asyncio.get_running_loop().create_task(self._find())

    async def found(self) -> tuple[Gpu, ...]:
        """All of them, as full as they are now."""
        self.start()
        if self._finding is not None:
            await asyncio.wait([self._finding])
        if self._found:
            await self._read_memory()
        return self._found

    def known(self) -> tuple[Gpu, ...]:
        """Those that are found by now; how full they were some seconds ago."""
        is_old = time.monotonic() - self._read_at > MEMORY_KEPT_S
        if self._found and is_old and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read_memory())
        return self._found

    async def close(self) -> None:
        """Looks no more."""
        tasks = [task for task in (self._finding, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _find(self) -> None:
        try:
            models = json.loads(await self._probe())
        except ServingError as error:
            logger.warning("No GPU is used: %s", error.message)
            return
        names = visible_names(os.environ, len(models))
        self._found = tuple(Gpu(number, names[number], model) for number, model in enumerate(models))

    async def _read_memory(self) -> None:
        self._read_at = time.monotonic()
        rows = await asyncio.to_thread(ask_smi)
        self._found = with_memory(self._found, rows)


def may_have_gpus(environment: Mapping[str, str]) -> bool:
    """Whether it is worth asking TensorFlow: there is a driver, and the GPUs are not hidden."""
    if environment.get(VISIBLE_DEVICES) in ("", "-1"):
        return False
    return shutil.which(_SMI) is not None or any(Path(driver).exists() for driver in _DRIVERS)


def visible_names(environment: Mapping[str, str], count: int) -> list[str]:
    """What the driver calls the GPUs that TensorFlow counts from 0."""
    listed = [name.strip() for name in environment.get(VISIBLE_DEVICES, "").split(",") if name.strip()]
    return listed[:count] if len(listed) >= count else [str(number) for number in range(count)]


def with_memory(gpus: Sequence[Gpu], rows: Sequence[SmiRow]) -> tuple[Gpu, ...]:
    """The GPUs with what nvidia-smi says of them; one that it does not know, such as a slice of one, stays."""
    return tuple(_with_memory(gpu, rows) for gpu in gpus)


def _with_memory(gpu: Gpu, rows: Sequence[SmiRow]) -> Gpu:
    for row in rows:
        if gpu.visible == row.index or (gpu.visible.startswith("GPU-") and row.uuid.startswith(gpu.visible)):
            return replace(gpu, memory_bytes=row.memory_bytes, used_bytes=row.used_bytes)
    return gpu


def ask_smi() -> tuple[SmiRow, ...]:
    """What nvidia-smi says of every GPU; nothing where it is not installed or fails. Blocks."""
    program = shutil.which(_SMI)
    if program is None:
        return ()
    command = [program, "--query-gpu=index,uuid,memory.total,memory.used", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603  # the driver's own program, with fixed arguments
            command, capture_output=True, text=True, check=False, timeout=_SMI_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_smi(done.stdout) if done.returncode == 0 else ()


def parse_smi(text: str) -> tuple[SmiRow, ...]:
    """The lines `index, uuid, MiB, MiB`; others are left out."""
    lines = ([cell.strip() for cell in line.split(",")] for line in text.splitlines())
    return tuple(
        SmiRow(cells[0], cells[1], int(cells[2]) * _MIB, int(cells[3]) * _MIB)
        for cells in lines
        if len(cells) == 4 and cells[2].isdecimal() and cells[3].isdecimal()
    )
