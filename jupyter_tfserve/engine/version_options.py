"""What a version's own folder says about how it is served: `batching_params.pbtxt`, `saved_model_config.pb`.

Of the first every field counts but `num_batch_threads` and `thread_pool_name`, which are the server's. The second
is only looked at: its session overrides tune TensorFlow's graph rewriter, which changes no answer.
Files are read here, blocking: call it in a thread.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.batching_parameters import parse_batching_parameters
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.options import BatchOptions, EngineOptions

logger = logging.getLogger(__name__)

BATCHING_FILE: Final = "batching_params.pbtxt"
SAVED_MODEL_CONFIG: Final = Path("assets.extra/saved_model_config.pb")


def batch_options(version: Path, options: EngineOptions) -> BatchOptions:
    """How this version is batched; with `--enable_per_model_batching_parameters` by its own file alone.

    A version without that file is not batched then. INVALID_ARGUMENT for one that can't be used: the load fails.
    """
    if not options.enable_per_model_batching_parameters:
        return options.batching
    file = version / BATCHING_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return replace(BatchOptions(), enabled=False)
    except UnicodeDecodeError:
        raise invalid_argument(f"Invalid protobuf file: '{file}'") from None
    except OSError as error:
        raise ServingError(Code.FAILED_PRECONDITION, f"Can't read {file}: {error.strerror}") from None
    try:
        return parse_batching_parameters(text, str(file)).options
    except ServingError as error:
        # A version's status has no place for the hint, which names the line.
        logger.warning("%s: %s", error.message, error.hint or "")
        raise


def note_saved_model_config(version: Path) -> None:
    """One line in the log about the version's `saved_model_config.pb`, if it has one. Never fails a load."""
    file = version / SAVED_MODEL_CONFIG
    try:
        # Any message is an Empty with unknown fields: this tells a message from other bytes.
        has_fields = Empty.FromString(file.read_bytes()).ByteSize() > 0
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("%s is not used: %s", file, error.strerror)
    except DecodeError:
        logger.warning("%s is not used: it is no SavedModelConfig", file)
    else:
        if has_fields:
            logger.info("%s has no effect: this server has no session overrides", file)
