"""The session's ConfigProto: from `--tensorflow_session_config_file` and the flags that overwrite parts of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.codec.described_messages import parse_text
from jupyter_tfserve.codec.protos import bare_tensorflow

BFLOAT16: Final = "bfloat16"
FLOAT16: Final = "float16"


@dataclass(frozen=True, slots=True)
class SessionFlags:
    """The flags that end up in a session's options; `use_xla` compiles clusters of operations just in time."""

    per_process_gpu_memory_fraction: float = 0.0
    use_xla: bool = False
    use_bfloat16: bool = False
    use_float16: bool = False


def session_config_class() -> Any:
    """TensorFlow's ConfigProto. Imported where it is used: most engines need none."""
    with bare_tensorflow():
        from tensorflow.core.protobuf.config_pb2 import ConfigProto
    return ConfigProto


def session_config(text: str, file: str, flags: SessionFlags) -> bytes:
    """A serialized ConfigProto, empty if it says nothing: the file's text, then the flags, as upstream.

    Thread counts are not in it: they have options of their own, which always win. INVALID_ARGUMENT naming
    `file` if the text is no ConfigProto.
    """
    if not text and flags == SessionFlags():
        return b""
    config = parse_text(text, session_config_class()(), file)
    config.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    if flags.use_xla:
        optimizer = config.graph_options.optimizer_options
        optimizer.global_jit_level = type(optimizer).ON_1
    if flags.use_bfloat16:
        use_bfloat16(config)
    if flags.use_float16:
        # GPUs with tensor cores only: elsewhere TensorFlow's rewriter leaves the graph as it is.
        rewriter = config.graph_options.rewrite_options
        rewriter.auto_mixed_precision = type(rewriter).ON
    serialized: bytes = config.SerializeToString(deterministic=True)
    return serialized


def use_bfloat16(config: Any) -> None:
    """Lets TensorFlow compute in bfloat16 where it thinks that is safe, in the ConfigProto's session."""
    rewriter = config.graph_options.rewrite_options
    rewriter.auto_mixed_precision_onednn_bfloat16 = type(rewriter).ON
