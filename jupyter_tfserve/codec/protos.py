"""The generated messages and services of TensorFlow and TensorFlow Serving, without importing TensorFlow.

Every codec of the gRPC side takes its messages from here. `tensorflow_serving.apis` needs only the generated
modules below `tensorflow.core`, yet naming them would run `tensorflow/__init__.py`: 2.0 s and 590 MB
(measured), against 0.08 s and 34 MB with a bare package in its place while they are imported. The bare
package is gone when this module has been imported: a later `import tensorflow` in the same process is the
real one, and uses the very same messages. A process that has TensorFlow already keeps it untouched.

The messages are `Any` to the type checker: none of these packages carries types.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def bare_tensorflow() -> Iterator[None]:
    """A package `tensorflow` that finds its submodules and runs nothing, for the time of the block.

    REQUIRES: no other thread imports TensorFlow for the first time meanwhile; it would get the bare package.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    bare = types.ModuleType("tensorflow")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = bare
    try:
        yield
    finally:
        # The submodules stay: TensorFlow finds them in sys.modules, as if it had been imported first.
        if sys.modules.get("tensorflow") is bare:
            del sys.modules["tensorflow"]


with bare_tensorflow():
    from tensorflow.core.example.example_pb2 import Example
    from tensorflow.core.example.feature_pb2 import Feature
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
    from tensorflow.core.framework.types_pb2 import DataType
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef, TensorInfo
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest, ClassificationResponse
    from tensorflow_serving.apis.get_model_metadata_pb2 import (
        GetModelMetadataRequest,
        GetModelMetadataResponse,
        SignatureDefMap,
    )
    from tensorflow_serving.apis.get_model_status_pb2 import (
        GetModelStatusRequest,
        GetModelStatusResponse,
        ModelVersionStatus,
    )
    from tensorflow_serving.apis.inference_pb2 import (
        InferenceTask,
        MultiInferenceRequest,
        MultiInferenceResponse,
    )
    from tensorflow_serving.apis.input_pb2 import Input
    from tensorflow_serving.apis.logging_pb2 import LogMetadata
    from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
    from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse
    from tensorflow_serving.apis.session_service_pb2 import SessionRunRequest, SessionRunResponse
    from tensorflow_serving.config.logging_config_pb2 import LoggingConfig
    from tensorflow_serving.config.model_server_config_pb2 import (
        ModelConfig,
        ModelConfigList,
        ModelServerConfig,
    )

# From the descriptors, which reflection then finds: the stubs' modules do not load them.
PREDICTION_SERVICE: str = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
MODEL_SERVICE: str = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
SESSION_SERVICE: str = "tensorflow.serving.SessionService"

__all__ = [
    "MODEL_SERVICE",
    "PREDICTION_SERVICE",
    "SESSION_SERVICE",
    "ClassificationRequest",
    "ClassificationResponse",
    "DataType",
    "Example",
    "Feature",
    "GetModelMetadataRequest",
    "GetModelMetadataResponse",
    "GetModelStatusRequest",
    "GetModelStatusResponse",
    "InferenceTask",
    "Input",
    "LogMetadata",
    "LoggingConfig",
    "MetaGraphDef",
    "ModelConfig",
    "ModelConfigList",
    "ModelServerConfig",
    "ModelServiceStub",
    "ModelSpec",
    "ModelVersionStatus",
    "MultiInferenceRequest",
    "MultiInferenceResponse",
    "PredictRequest",
    "PredictResponse",
    "PredictionLog",
    "PredictionServiceStub",
    "RegressionRequest",
    "RegressionResponse",
    "ReloadConfigRequest",
    "ReloadConfigResponse",
    "SavedModel",
    "SessionRunRequest",
    "SessionRunResponse",
    "SignatureDef",
    "SignatureDefMap",
    "TensorInfo",
    "TensorProto",
    "TensorShapeProto",
]
