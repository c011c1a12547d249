"""What the tests of the core ask of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.lifecycle.core import ServerCore

WAIT_S = 20.0


def config(base: Path, name: str = "m", **fields) -> ModelConfig:
    return ModelConfig(name, str(base / name), **fields)


def served(core: ServerCore, name: str = "m") -> set[int]:
    return set(core.serving_map.available(name))


async def refusal(change) -> ServingError:
    with pytest.raises(ServingError) as caught:
        await asyncio.wait_for(change, WAIT_S)
    return caught.value
