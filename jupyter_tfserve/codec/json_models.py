"""The REST bodies about models: errors, version states and signatures, in TensorFlow Serving's layout.

Clients and shell scripts compare these bodies as text, so indentation and order of members are kept to the
byte: four spaces for errors, protobuf's printer with one space for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_tfserve.codec.json_debug import quote
from jupyter_tfserve.codec.json_values import text_bytes


def encode_error(message: str, hint: str | None = None) -> bytes:
    """`{"error": "<message>"}` over three lines; a hint is a second member after it."""
    members = [b'    "error": ' + quote(text_bytes(message))]
    if hint is not None:
        members.append(b'    "hint": ' + quote(text_bytes(hint)))
    return b"{\n" + b",\n".join(members) + b"\n}"


def encode_status(versions: Sequence[tuple[int, str, str, str]]) -> bytes:
    """The states of a model: (version, state, error code, error message) each, highest version first."""
    states = [
        {
            "version": str(version),
            "state": state,
            "status": {"error_code": error_code, "error_message": error_message},
        }
        for version, state, error_code, error_message in versions
    ]
    return _printed({"model_version_status": states})


def encode_metadata(name: str, version: int, signature_def_map: Any) -> bytes:
    """The signatures of a version; `signature_def_map` is a `SignatureDefMap` message.

    TensorFlow Serving puts two protobuf texts into a frame by hand, hence the odd line breaks.
    """
    model_spec = {"name": name, "signature_name": "", "version": str(version)}
    signatures = _arranged(_to_dict(signature_def_map), signature_def_map.DESCRIPTOR)
    return (
        b'{\n"model_spec":'
        + _printed(model_spec)
        + b',\n"metadata": {"signature_def": '
        + _printed(signatures)
        + b"}\n}\n"
    )


def _printed(value: Mapping[str, Any]) -> bytes:
    """protobuf's layout: one space of indent and a newline at the end."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text_bytes(text) + b"\n"


def _to_dict(message: Any) -> dict[str, Any]:
    """The message with its defaults, 64-bit integers as strings, fields by their names in the `.proto`."""
    # Imported here: protobuf's JSON support costs start-up time, and metadata is asked for rarely.
    from google.protobuf import json_format

    options: dict[str, bool] = {"preserving_proto_field_name": True}
    try:
        tree: dict[str, Any] = json_format.MessageToDict(
            message, always_print_fields_with_no_presence=True, **options
        )
    except TypeError:  # protobuf before 5.26 has another name for it
        tree = json_format.MessageToDict(message, including_default_value_fields=True, **options)
    return tree


def _arranged(tree: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    """The members in the order of protobuf's C++ printer: by number, a oneof's last, map keys sorted.

    Recursion is bounded: a message nests no deeper than protobuf's own parser allowed.
    """
    fields = sorted(descriptor.fields, key=lambda field: (field.containing_oneof is not None, field.number))
    return {field.name: _arranged_field(tree[field.name], field) for field in fields if field.name in tree}


def _arranged_field(value: Any, field: Any) -> Any:
    message = field.message_type
    if message is None or message.full_name.startswith("google.protobuf."):
        return value
    if message.GetOptions().map_entry:
        entry = message.fields_by_name["value"]
        return {key: _arranged_field(value[key], entry) for key in sorted(value)}
    if isinstance(value, list):
        return [_arranged(item, message) if isinstance(item, dict) else item for item in value]
    return _arranged(value, message)
