"""TLS of the gRPC port from `--ssl_config_file`: a text `SSLConfig` that holds PEM contents, not paths.

The message's own proto file is not shipped with tensorflow-serving-api, so it is described here
(ssl_config.proto). REST stays plain, as upstream's does.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import TlsOptions

_PACKAGE: Final = "jupyter_tfserve.tls"
_PEM_BEGIN: Final = "-----BEGIN "
_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_FIELDS: Final = (
    ("server_key", 1, _FIELD.TYPE_STRING),
    ("server_cert", 2, _FIELD.TYPE_STRING),
    ("custom_ca", 3, _FIELD.TYPE_STRING),
    ("client_verify", 4, _FIELD.TYPE_BOOL),
)


def parse_ssl_config(text: str, name: str) -> TlsOptions:
    """The TLS options in a text SSLConfig; INVALID_ARGUMENT if it is none.

    `name` is the file as the user gave it. No error quotes its text, since it holds a key.
    """
    message = _message_class()()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        place = f" at line {error.GetLine()}" if error.GetLine() else ""
        raise invalid_argument(f"Invalid protobuf file: '{name}'{place}") from None
    for required in ("server_key", "server_cert"):
        if not getattr(message, required):
            raise invalid_argument(f"'{name}' has no {required}")
    for pem in ("server_key", "server_cert", "custom_ca"):
        value = getattr(message, pem)
        if value and _PEM_BEGIN not in value:
            raise invalid_argument(f"'{name}': {pem} must hold PEM text itself, not the path of a file")
    if message.client_verify and not message.custom_ca:
        # Upstream would then trust every public authority, which lets in anyone with a certificate.
        raise invalid_argument(f"'{name}': client_verify needs custom_ca, the authority of the clients")
    return TlsOptions(
        server_key=message.server_key.encode(),
        server_cert=message.server_cert.encode(),
        custom_ca=message.custom_ca.encode(),
        client_verify=message.client_verify,
    )


def server_credentials(tls: TlsOptions) -> Any:
    """gRPC's credentials for a port. Whether key and certificate fit shows only when it is bound."""
    return grpc.ssl_server_credentials(
        [(tls.server_key, tls.server_cert)],
        root_certificates=tls.custom_ca or None,
        require_client_auth=tls.client_verify,
    )


def _message_class() -> Any:
    pool = descriptor_pool.Default()
    try:
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.SSLConfig")
    except KeyError:
        pool.Add(_file())  # type: ignore[no-untyped-call,unused-ignore]
        descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.SSLConfig")
    return message_factory.GetMessageClass(descriptor)


def _file() -> descriptor_pb2.FileDescriptorProto:
    proto = descriptor_pb2.FileDescriptorProto(
        name="jupyter_tfserve/ssl_config.proto", package=_PACKAGE, syntax="proto3"
    )
    message = proto.message_type.add(name="SSLConfig")
    for name, number, kind in _FIELDS:
        message.field.add(name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    return proto
