"""Bodies about models, byte for byte."""

from __future__ import annotations

import json

import pytest

from jupyter_tfserve.codec.json_models import encode_error, encode_metadata, encode_status
from jupyter_tfserve.codec.protos import SignatureDefMap


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ("Not found", b'{\n    "error": "Not found"\n}'),
        (
            'a "b" \\ /\b\f\n\r\t\x01\x1f\x7f',
            b'{\n    "error": "a \\"b\\" \\\\ /\\b\\f\\n\\r\\t\\u0001\\u001F\x7f"\n}',
        ),
        ("é\udcff", b'{\n    "error": "\xc3\xa9\xff"\n}'),
    ],
)
def test_encode_error_escapes_only_what_json_demands(message: str, body: bytes) -> None:
    assert encode_error(message) == body


def test_encode_error_puts_the_hint_after_the_message() -> None:
    assert encode_error("m", "do\nit") == b'{\n    "error": "m",\n    "hint": "do\\nit"\n}'


def test_encode_status_is_protobuf_s_layout() -> None:
    assert encode_status([(123, "AVAILABLE", "OK", "")]) == (
        b'{\n "model_version_status": [\n  {\n   "version": "123",\n'
        b'   "state": "AVAILABLE",\n   "status": {\n'
        b'    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


def test_encode_status_keeps_order_and_text() -> None:
    states = [(3, "END", "INTERNAL", 'no "a"\né'), (1, "AVAILABLE", "OK", "")]
    found = json.loads(encode_status(states))["model_version_status"]
    assert [
        (int(s["version"]), s["state"], s["status"]["error_code"], s["status"]["error_message"])
        for s in found
    ] == states


METADATA = """{
"model_spec":{
 "name": "m",
 "signature_name": "",
 "version": "123"
}
,
"metadata": {"signature_def": {
 "signature_def": {
  "a": {
   "inputs": {},
   "outputs": {},
   "method_name": "",
   "defaults": {}
  },
  "serving_default": {
   "inputs": {
    "x": {
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       },
       {
        "size": "1",
        "name": ""
       }
      ],
      "unknown_rank": false
     },
     "name": "x:0"
    }
   },
   "outputs": {
    "y": {
     "dtype": "DT_INVALID",
     "tensor_shape": {
      "dim": [],
      "unknown_rank": true
     },
     "name": "y:0"
    },
    "z": {
     "dtype": "DT_INT64"
    }
   },
   "method_name": "tensorflow/serving/predict",
   "defaults": {}
  }
 }
}
}
}
"""


def signature_def_map() -> SignatureDefMap:
    message = SignatureDefMap()
    signature = message.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    signature.inputs["x"].name = "x:0"
    signature.inputs["x"].dtype = 1
    signature.inputs["x"].tensor_shape.dim.add().size = -1
    signature.inputs["x"].tensor_shape.dim.add().size = 1
    signature.outputs["y"].name = "y:0"
    signature.outputs["y"].tensor_shape.unknown_rank = True
    signature.outputs["z"].dtype = 9
    message.signature_def["a"].SetInParent()
    return message


def test_encode_metadata_is_the_frame_around_two_protobuf_texts() -> None:
    assert encode_metadata("m", 123, signature_def_map()).decode() == METADATA


def test_encode_metadata_shows_defaults_of_inputs() -> None:
    message = signature_def_map()
    default = message.signature_def["serving_default"].defaults["x"]
    default.dtype = 1
    default.float_val.append(0.5)
    found = json.loads(encode_metadata("m", 1, message))["metadata"]["signature_def"]["signature_def"]
    shown = found["serving_default"]["defaults"]["x"]
    assert (shown["dtype"], shown["float_val"], shown["version_number"]) == ("DT_FLOAT", [0.5], 0)


def test_encode_metadata_escapes_a_name() -> None:
    assert json.loads(encode_metadata('m"', 1, SignatureDefMap()))["model_spec"]["name"] == 'm"'
