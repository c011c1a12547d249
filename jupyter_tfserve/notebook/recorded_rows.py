"""A request that was recorded with a version, for what is measured: real inputs tell more than invented ones.

Read from the version's warm-up file, where this kernel can read the model's folder. Imports no TensorFlow.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import PredictionLog
from jupyter_tfserve.codec.tensor_proto import decode_tensor
from jupyter_tfserve.codec.tfrecord import read_records
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import LimitOptions
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Tensor

MAX_RECORDS: Final = 100
"""So many are looked at for one of the wanted signature."""


def recorded_document(base_path: str, version: int, signature_name: str) -> Mapping[str, Any] | None:
    """The version's first recorded request for that signature as a predict document; None if there is none."""
    try:
        path = _folder(Path(base_path), version) / WARMUP_FILE
        with path.open("rb") as stream:
            for _, record in zip(range(MAX_RECORDS), read_records(stream), strict=False):
                document = _document(record, signature_name)
                if document is not None:
                    return document
    except (OSError, StopIteration, DecodeError, ServingError):
        # Not this machine's folder, or a file that the server has its own words for.
        return None
    return None


def _folder(base_path: Path, version: int) -> Path:
    # As a server reads names: 00000123 is version 123.
    return next(each for each in base_path.iterdir() if each.name.isdecimal() and int(each.name) == version)


def _document(record: bytes, signature_name: str) -> Mapping[str, Any] | None:
    log = PredictionLog.FromString(record)
    if log.WhichOneof("log_type") != "predict_log":
        return None
    request = log.predict_log.request
    if (request.model_spec.signature_name or DEFAULT_SIGNATURE) != signature_name or not request.inputs:
        return None
    limits = LimitOptions()
    return {"inputs": {alias: _json(decode_tensor(proto, limits)) for alias, proto in request.inputs.items()}}


def _json(tensor: Tensor) -> Any:
    return _texts(tensor.tolist()) if tensor.dtype.kind == "O" else tensor


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return {"b64": base64.b64encode(value).decode()}
