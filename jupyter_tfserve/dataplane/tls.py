"""TLS of both ports from `--ssl_config_file`: a text `SSLConfig` that holds PEM contents, not paths.

The message's own proto file (ssl_config.proto) is not shipped with tensorflow-serving-api, so it is described
here. Upstream's REST port stays plain.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from typing import Final

from jupyter_tfserve.codec.described_messages import message_class, parse_text
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import TlsOptions

_PEM_BEGIN: Final = "-----BEGIN "
_NAME: Final = "jupyter_tfserve.tls.SSLConfig"
_MESSAGES: Final = {
    _NAME: {"server_key": "string", "server_cert": "string", "custom_ca": "string", "client_verify": "bool"}
}


def parse_ssl_config(text: str, name: str) -> TlsOptions:
    """The TLS options in a text SSLConfig; INVALID_ARGUMENT if it is none.

    `name` is the file as the user gave it. No error quotes its text, since it holds a key.
    """
    message = parse_text(text, message_class(_NAME, _MESSAGES)(), name, is_secret=True)
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


def server_context(tls: TlsOptions, protocol: str = "http/1.1") -> ssl.SSLContext:
    """TLS for an asyncio server of one `protocol`, by its ALPN name.

    INVALID_ARGUMENT if key and certificate can't be used together.

    The key never gets a name on a disk where the system can do without.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    try:
        with _as_file(tls.server_key + b"\n" + tls.server_cert) as path:
            # A key with a password can't be used; without one of ours OpenSSL would ask on the terminal.
            context.load_cert_chain(path, password=b"")
        if tls.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=tls.custom_ca.decode())
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        reason = (isinstance(error, ssl.SSLError) and error.reason) or "no valid PEM"
        raise invalid_argument(
            f"The key and certificates of ssl_config_file can't be used: {reason}",
            "Check that server_key is the key of server_cert and has no password",
        ) from None
    return context


@contextlib.contextmanager
def _as_file(contents: bytes) -> Iterator[str]:
    """A path to read `contents` from while the block runs: in memory, or in a private file that is removed."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with os.fdopen(os.memfd_create("tls"), "wb") as memory:
            memory.write(contents)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:  # mode 0600
            file.write(contents)
            file.flush()
            yield file.name
