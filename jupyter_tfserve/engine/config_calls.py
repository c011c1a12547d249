"""A person's configuration: refused before anything is changed if it can't be meant, and answered in time.

A reload over gRPC keeps to upstream's rules instead: it takes base paths that are not there, and waits for them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jupyter_tfserve.errors import Code, ServingError, not_found
from jupyter_tfserve.lifecycle.config import ModelConfig, local_path, validate_models
from jupyter_tfserve.lifecycle.config_places import refused_entry, with_place
from jupyter_tfserve.lifecycle.config_proto import parse_config
from jupyter_tfserve.lifecycle.core import ServerCore
from jupyter_tfserve.lifecycle.roots import check_models
from jupyter_tfserve.types import ModelSpec

WAIT_S: Final = 30.0
"""So long is the answer held back for models to load; callers give up after twice that."""


async def apply_text(core: ServerCore[Any], text: str, wait_s: float = WAIT_S) -> tuple[str, ...]:
    """Serves what the text says and nothing else; notes about models that are not up yet.

    A refusal changes nothing: as `ServerCore.set_config`, and NOT_FOUND for a base path that is not there. UNKNOWN:
    new models failed, the configuration stays.
    """
    models = parse_config(text)
    if models is None:
        return ()
    current = core.desired.by_name
    try:
        validate_models(models, current)
        await asyncio.to_thread(_check_folders, text, models, current, core.allowed_roots)
        added, noun = await core.set_config(models)
    except ServingError as error:
        raise with_place(error, text, refused_entry(models, current, error)) from None
    await _wait_settled(core, added, wait_s)
    ended = tuple(name for name in added if core.first_outcome(name) is not None)
    try:
        await core.wait_added(ended, noun)
    except ServingError as error:
        raise _with_next_step(error, models) from None
    return tuple(_note(core, name) for name in added if name not in ended)


async def _wait_settled(core: ServerCore[Any], models: Sequence[str], wait_s: float) -> None:
    """Returns when each of `models` is up, has failed or has no version to load; or after `wait_s`."""
    settled = asyncio.gather(*(core.wait_first_load(ModelSpec(name)) for name in models))
    try:
        await asyncio.wait_for(settled, wait_s)
    except asyncio.TimeoutError:
        return


def _check_folders(
    text: str, models: Sequence[ModelConfig], current: Mapping[str, ModelConfig], roots: Sequence[str]
) -> None:
    """Passes if the base paths that are new are folders. What is served stays, even if its folder is away. Blocking."""
    if roots:
        check_models(models, roots)
    for index, model in enumerate(models):
        known = current.get(model.name)
        is_new = known is None or known.base_path != model.base_path
        if is_new and not os.path.isdir(local_path(model.base_path)):
            error = not_found(
                f"base_path '{model.base_path}' of model {model.name} does not exist or is not a folder; "
                "nothing was changed",
                "Correct the path, or make the folder, and apply the configuration again.",
            )
            raise with_place(error, text, index)


def _with_next_step(error: ServingError, models: Sequence[ModelConfig]) -> ServingError:
    if error.code is not Code.UNKNOWN:
        return error
    names = ", ".join(model.name for model in models)
    hint = (
        f"The configuration is applied all the same: it serves {names}, as far as they load. Mend the failed "
        "model's files, which are then loaded by themselves, or apply the former configuration to go back."
    )
    return ServingError(error.code, error.message, hint)


def _note(core: ServerCore[Any], model: str) -> str:
    if core.first_load_pending(ModelSpec(model)):
        return f"Applied; {model} is still being loaded. The status shows when it is up."
    return f"Applied; {model} has no version yet. It is served as soon as its folder holds one."
