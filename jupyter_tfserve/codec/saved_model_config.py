"""A version's `assets.extra/saved_model_config.pb`: what of it this server can follow, and what not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.described_messages import message_class
from jupyter_tfserve.codec.session_config import session_config_class
from jupyter_tfserve.errors import invalid_argument

_CONFIG: Final = "jupyter_tfserve.saved_model.SavedModelConfig"
_OVERRIDES: Final = "jupyter_tfserve.saved_model.SessionOverrides"
# Messages that have no meaning here are kept as their bytes.
_MESSAGES: Final = {
    _OVERRIDES: {
        "remote_op_remap_config": "bytes",
        "batch_op_rewriter_config": "bytes",
        "disable_meta_optimizer": "bool",
    },
    _CONFIG: {"session_overrides": _OVERRIDES, "tfrt_runtime_config": "bytes", "critical": "bool"},
}


@dataclass(frozen=True, slots=True)
class SavedModelConfig:
    """`disable_meta_optimizer` is None without session overrides. `ignored` names the fields that have no effect."""

    disable_meta_optimizer: bool | None = None
    ignored: tuple[str, ...] = ()


def parse_saved_model_config(content: bytes) -> SavedModelConfig:
    """What the file says; INVALID_ARGUMENT if it is no SavedModelConfig."""
    message: Any = message_class(_CONFIG, _MESSAGES)()
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise invalid_argument("it is no SavedModelConfig") from None
    overrides = message.session_overrides
    ignored = [*overrides.ListFields(), *message.ListFields()]
    followed = ("disable_meta_optimizer", "session_overrides")
    return SavedModelConfig(
        overrides.disable_meta_optimizer if message.HasField("session_overrides") else None,
        tuple(field.name for field, _ in ignored if field.name not in followed),
    )


def override_session_config(session_config: bytes, config: SavedModelConfig) -> bytes:
    """The serialized ConfigProto with the version's overrides in it; as it is if there are none."""
    if config.disable_meta_optimizer is None:
        return session_config
    message = session_config_class().FromString(session_config)
    message.graph_options.rewrite_options.disable_meta_optimizer = config.disable_meta_optimizer
    serialized: bytes = message.SerializeToString(deterministic=True)
    return serialized
