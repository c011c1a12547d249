"""The models of TensorFlow Lite among `saved_models`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tests.model_writer import build_model, save_model

v1 = tf.compat.v1


def make_lite(base: Path, version: int) -> Path:
    """A SavedModel, x -> y = x, and a model.tflite, x float [-1] -> y = x / 2 + 2; also `doubled`: x -> y = 2 x."""

    def half_plus_two(x: Any) -> Any:
        return {"y": x * 0.5 + 2.0}

    spec = {"x": ([None], "float32")}
    double = (lambda x: {"y": x * 2}, spec)
    path = save_model(base, version, serving_default=(lambda x: {"y": tf.identity(x)}, spec))
    other = save_model(base / "source", version, serving_default=(half_plus_two, spec), doubled=double)
    return _convert(other, path)


def make_lite_only(base: Path, version: int) -> Path:
    """A model.tflite alone, that names no signatures: tensors x float [1] -> y = x / 2 + 2."""

    def build() -> tuple[dict[str, Any], Any]:
        x = v1.placeholder(tf.float32, [1], name="x")
        return {"serving_default": ({"x": x}, {"y": tf.add(x * 0.5, 2.0, name="y")})}, None

    source = build_model(base / "source", version, build)
    path = _convert(source, base / str(version))
    model = path / "model.tflite"
    flat = _flatbuffer(model)
    flat.signatureDefs = None
    for tensor in flat.subgraphs[0].tensors:
        tensor.name = tensor.name.replace(b"serving_default_", b"").replace(b"PartitionedCall", b"y")
    _write_flatbuffer(model, flat)
    return path


def make_lite_signature_defs(base: Path, version: int) -> Path:
    """As lite_only, with SignatureDefs in its metadata: `serving_default` feature -> score; `again` by bare names."""
    from flatbuffers import flexbuffers
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
    from tensorflow.lite.python import schema_py_generated as schema

    path = make_lite_only(base, version)
    flat = _flatbuffer(path / "model.tflite")
    definitions = {}
    for key, port in (("serving_default", ":0"), ("again", "")):
        definition = SignatureDef(method_name="tensorflow/serving/predict")
        definition.inputs["feature"].name, definition.outputs["score"].name = f"x{port}", f"y{port}"
        for info in (definition.inputs["feature"], definition.outputs["score"]):
            info.dtype = tf.float32.as_datatype_enum
            info.tensor_shape.dim.add(size=1)
        definitions[key] = definition.SerializeToString()
    builder = flexbuffers.Builder()
    with builder.Map():
        for key in sorted(definitions):
            builder.Key(key)
            builder.String(definitions[key].decode("ascii"))
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(bytes(builder.Finish()), np.uint8)
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = b"signature_defs_metadata", len(flat.buffers)
    flat.buffers.append(buffer)
    flat.metadata = [*(flat.metadata or []), metadata]
    _write_flatbuffer(path / "model.tflite", flat)
    return path


def make_lite_strings(base: Path, version: int) -> Path:
    """A model.tflite alone: text string [-1] -> first string [1], its first."""
    spec = {"text": ([None], "string")}
    source = save_model(
        base / "source", version, serving_default=(lambda text: {"first": tf.gather(text, [0])}, spec)
    )
    return _convert(source, base / str(version))


def _convert(source: Path, path: Path) -> Path:
    """Writes the SavedModel in `source` as path/model.tflite, and removes it."""
    path.mkdir(exist_ok=True)
    (path / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(source)).convert())
    shutil.rmtree(source.parent)
    return path


def _flatbuffer(model: Path) -> Any:
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model.read_bytes(), 0))


def _write_flatbuffer(model: Path, flat: Any) -> None:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(flat.Pack(builder), file_identifier=b"TFL3")
    model.write_bytes(builder.Output())
