"""The messages that a client needs: the generated ones where they are installed, else ours of the same layout.

An engine and whoever shares a process with TensorFlow thus works with one set of messages; a client needs protobuf
alone. The message classes are `Any` to the type checker.
"""

from __future__ import annotations

try:
    from jupyter_tfserve.codec.protos import (
        ClassificationRequest,
        ClassificationResponse,
        DataType,
        Example,
        Feature,
        GetModelMetadataRequest,
        GetModelMetadataResponse,
        GetModelStatusRequest,
        GetModelStatusResponse,
        PredictRequest,
        PredictResponse,
        RegressionRequest,
        RegressionResponse,
        SignatureDef,
        SignatureDefMap,
        TensorProto,
    )
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("tensorflow", "tensorflow_serving"):
        raise
    from jupyter_tfserve.codec.described_protos import (  # type: ignore[assignment,unused-ignore]
        ClassificationRequest,
        ClassificationResponse,
        DataType,
        Example,
        Feature,
        GetModelMetadataRequest,
        GetModelMetadataResponse,
        GetModelStatusRequest,
        GetModelStatusResponse,
        PredictRequest,
        PredictResponse,
        RegressionRequest,
        RegressionResponse,
        SignatureDef,
        SignatureDefMap,
        TensorProto,
    )

__all__ = [
    "ClassificationRequest",
    "ClassificationResponse",
    "DataType",
    "Example",
    "Feature",
    "GetModelMetadataRequest",
    "GetModelMetadataResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
    "PredictRequest",
    "PredictResponse",
    "RegressionRequest",
    "RegressionResponse",
    "SignatureDef",
    "SignatureDefMap",
    "TensorProto",
]
