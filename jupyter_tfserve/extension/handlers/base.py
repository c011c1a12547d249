"""What all handlers share: errors as JSON, bodies as JSON objects, the engines.

Every verb of every handler is `@guarded(action)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import responses
from types import TracebackType
from typing import Any, Final, TypeVar, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from jupyter_tfserve.errors import HTTP_STATUS, Code, ServingError, invalid_argument
from jupyter_tfserve.extension.config import ExtensionOptions
from jupyter_tfserve.extension.engines import Engines

RESOURCE: Final = "tfserve"
ENGINES_SETTING: Final = "tfserve_engines"
OPTIONS_SETTING: Final = "tfserve_options"
MAX_CONTROL_BODY_BYTES: Final = 4 * 2**20

_CODE_OF_STATUS: Final = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    413: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
}
_LOGIN_HINT: Final = "Send the Jupyter server's token: `Authorization: token <token>`."


_Verb = TypeVar("_Verb", bound=Callable[..., Any])


def guarded(action: str) -> Callable[[_Verb], _Verb]:
    """For a verb: the user must be known, and be allowed to `read`, `write` or `execute` model serving.

    `authorized` gets both arguments: without them it keeps those of its first call for all later ones. It
    lies inside `authenticated`, which Jupyter's audit of handlers looks for.
    """

    def guard(verb: _Verb) -> _Verb:
        decorate: Any = authorized(action, resource=RESOURCE)
        return cast("_Verb", web.authenticated(decorate(verb)))

    return guard


class TFServeHandler(ExtensionHandlerMixin, APIHandler):
    """Answers in JSON, errors too: `{"error", "code", "hint"}`, never HTML, never a trace."""

    auth_resource = RESOURCE

    @property
    def engines(self) -> Engines:
        """The engines of this Jupyter server."""
        engines: Engines = self.settings[ENGINES_SETTING]
        return engines

    @property
    def extension_options(self) -> ExtensionOptions:
        """The administrator's settings."""
        options: ExtensionOptions = self.settings[OPTIONS_SETTING]
        return options

    def set_default_headers(self) -> None:
        """Jupyter's, and `nosniff` whatever the server's `headers` setting says."""
        super().set_default_headers()
        self.set_header("X-Content-Type-Options", "nosniff")

    def json_body(self) -> dict[str, Any]:
        """The request's body, an object; empty if there is none. INVALID_ARGUMENT if it is anything else."""
        body = self.request.body
        if len(body) > MAX_CONTROL_BODY_BYTES:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, f"the body is larger than {MAX_CONTROL_BODY_BYTES} bytes"
            )
        if not body:
            return {}
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise invalid_argument("the body is not JSON") from None
        if not isinstance(document, dict):
            raise invalid_argument("the body must be a JSON object")
        return document

    def reply(self, document: dict[str, Any]) -> None:
        """Finish with `document`."""
        self.finish(json.dumps(document))

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """tornado's hook for every exception: a `ServingError` brings its own status."""
        error = _error_in(kwargs)
        if isinstance(error, ServingError):
            status_code = HTTP_STATUS[error.code]
        super().send_error(status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The error as JSON. What is no error of ours is named by its status alone."""
        if status_code not in responses:
            self.set_status(status_code, "Unknown")
        self.finish(json.dumps(error_document(status_code, _error_in(kwargs), bool(self.current_user))))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """A `ServingError` is an answer, not an accident: one line, no trace."""
        if isinstance(value, ServingError):
            self.log.info("tfserve: %s %s: %s", self.request.method, self.request.path, value)
        else:
            super().log_exception(typ, value, tb)


def error_document(status: int, error: BaseException | None, is_known_user: bool) -> dict[str, Any]:
    """`{"error", "code", "hint"}` for a failed request."""
    if isinstance(error, ServingError):
        return {"error": error.message, "code": error.code.name, "hint": error.hint}
    code = _CODE_OF_STATUS.get(status, Code.INTERNAL if status >= 500 else Code.INVALID_ARGUMENT)
    text = responses.get(status, "Unknown error")
    if isinstance(error, web.HTTPError) and status < 500 and error.log_message:
        # Jupyter's and tornado's texts for the caller, such as "'_xsrf' argument missing".
        text = error.log_message % error.args if error.args else error.log_message
    hint = _LOGIN_HINT if status in (401, 403) and not is_known_user else None
    return {"error": text, "code": code.name, "hint": hint}


def _error_in(arguments: dict[str, Any]) -> BaseException | None:
    described = arguments.get("exc_info")
    error: BaseException | None = described[1] if described else None
    return error
