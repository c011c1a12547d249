"""What a version's own folder says about how it is served: `batching_params.pbtxt`, `saved_model_config.pb`.

Of the first every field counts but `num_batch_threads` and `thread_pool_name`, which are the server's; of the
second `disable_meta_optimizer`: its other overrides configure rewriters that TensorFlow's wheels do not have.
Files are read here, blocking: call it in a thread.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from jupyter_tfserve.codec.batching_parameters import parse_batching_parameters
from jupyter_tfserve.codec.saved_model_config import override_session_config, parse_saved_model_config
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
        return BatchOptions(enabled=False, max_queue_wait_ms=options.batching.max_queue_wait_ms)
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


def session_config(version: Path, configured: bytes) -> bytes:
    """The ConfigProto of this version's session: `configured`, with the overrides of its `saved_model_config.pb`.

    As upstream a file that cannot be read is a warning and fails no load. What has no effect is told in the log.
    """
    file = version / SAVED_MODEL_CONFIG
    try:
        config = parse_saved_model_config(file.read_bytes())
    except FileNotFoundError:
        return configured
    except OSError as error:
        logger.warning("%s is not used: %s", file, error.strerror)
        return configured
    except ServingError as error:
        logger.warning("%s is not used: %s", file, error.message)
        return configured
    if config.ignored:
        logger.info("%s: no effect here has %s", file, ", ".join(config.ignored))
    return override_session_config(configured, config)
