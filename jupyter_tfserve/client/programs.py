"""A predict request as the text of a client: curl in three shells, Python, gRPC and Node.js. Pure.

Names and values are a model's or a user's: each is quoted by the rules of its language, never pasted in.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.client.documents import columns_of_document
from jupyter_tfserve.client.image_program import image_input, image_program
from jupyter_tfserve.client.rest import model_path
from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature

LONGEST_BODY: Final = 400
"""Characters of a body that a person still reads; a longer one is written as the program that makes it."""
TOKEN_VARIABLE: Final = "JUPYTER_TOKEN"  # noqa: S105  # the name of a variable


@dataclass(frozen=True, slots=True)
class Request:
    """What a snippet sends, and where to. `base_url` is what stands before `/v1`.

    With `needs_token` the way leads through Jupyter; snippets read the token from the environment. `columns`
    are the inputs for gRPC, `document` is None where REST cannot carry them.
    """

    spec: ModelSpec
    signature_name: str
    signature: Signature
    document: Mapping[str, Any] | None
    columns: Mapping[str, Any]
    base_url: str
    grpc_address: str
    needs_token: bool = False

    @property
    def url(self) -> str:
        """The address of `:predict`."""
        return predict_url(self.base_url, self.spec)


def curl_line(rest_url: str, spec: ModelSpec, document: Mapping[str, Any]) -> str:
    """The line of a POSIX shell that sends `document`."""
    return _bash(predict_url(rest_url, spec), document, False)


def predict_url(base_url: str, spec: ModelSpec) -> str:
    """The address of `:predict` of a model, a version or a label below `base_url`."""
    return base_url.rstrip("/") + model_path(spec) + ":predict"


def _bash(url: str, document: Mapping[str, Any], needs_token: bool) -> str:
    header = f' -H "Authorization: token ${TOKEN_VARIABLE}"' if needs_token else ""
    body = json.dumps(document)
    if len(body) <= LONGEST_BODY:
        return f"curl{header} -d {shlex.quote(body)} {shlex.quote(url)}"
    return f"python -c {shlex.quote(_program(document))} | curl{header} -d @- {shlex.quote(url)}"


def _cmd(url: str, document: Mapping[str, Any], needs_token: bool) -> str:
    header = f' -H "Authorization: token %{TOKEN_VARIABLE}%"' if needs_token else ""
    body = json.dumps(document)
    if len(body) <= LONGEST_BODY:
        return f"curl{header} -d {_cmd_word(body)} {_cmd_word(url)}"
    return f"python -c {_cmd_word(_program(document))} | curl{header} -d @- {_cmd_word(url)}"


def _cmd_word(text: str) -> str:
    """One argument: quoted for the program that splits its command line, then for cmd.exe, which reads it first."""
    quoted = '"' + re.sub(r'(\\*)"', r'\1\1\\"', text) + '"'
    # An escaped quotation mark ends cmd's own quoting, so its special characters need carets everywhere.
    return re.sub(r'([()%!^"<>&|])', r"^\1", quoted) if re.search(r"[%!^<>&|]", text) else quoted


def _powershell(url: str, document: Mapping[str, Any], needs_token: bool) -> str:
    header = f' -Headers @{{Authorization = "token $env:{TOKEN_VARIABLE}"}}' if needs_token else ""
    body = json.dumps(document)
    source = _powershell_word(body)
    if len(body) > LONGEST_BODY:
        # Before version 7.3 it drops quotation marks inside of a program's arguments.
        program = _program(document).replace('"', r"\x22")
        source = f"(python -c {_powershell_word(program)})"
    start = f"Invoke-RestMethod -Method Post -Uri {_powershell_word(url)}{header}"
    return f"{start} -ContentType 'application/json' -Body {source}"


def _powershell_word(text: str) -> str:
    # PowerShell takes the typographic quotation marks for plain ones.
    return "'" + re.sub("(['‘’‚‛])", r"\1\1", text) + "'"


def _python(url: str, document: Mapping[str, Any], needs_token: bool) -> str:
    header = f'    headers={{"Authorization": f"token {{os.environ[{TOKEN_VARIABLE!r}]}}"}},\n'
    return (
        f"{'import os' + chr(10) * 2 if needs_token else ''}"
        "import requests\n\n"
        "reply = requests.post(\n"
        f"    {url!r},\n"
        f"    json={python_expression(document)},\n"
        f"{header if needs_token else ''}"
        "    timeout=30,\n"
        ")\n"
        "reply.raise_for_status()\n"
        "print(reply.json())"
    )


def _node(url: str, document: Mapping[str, Any], needs_token: bool) -> str:
    token = f", Authorization: `token ${{process.env.{TOKEN_VARIABLE}}}`" if needs_token else ""
    return (
        "// Node.js 18 or newer, as a module: node client.mjs\n"
        f"const reply = await fetch({json.dumps(url)}, {{\n"
        "  method: 'POST',\n"
        f"  headers: {{'Content-Type': 'application/json'{token}}},\n"
        f"  body: JSON.stringify({_javascript(document)}),\n"
        "});\n"
        "if (!reply.ok) throw new Error(await reply.text());\n"
        "console.log(JSON.stringify(await reply.json()));"
    )


_REST_WRITERS: Final[Mapping[str, Callable[[str, Mapping[str, Any], bool], str]]] = {
    "bash": _bash,
    "cmd": _cmd,
    "powershell": _powershell,
    "python": _python,
    "node": _node,
}
IMAGE_LANGUAGE: Final = "node-image"
LANGUAGES: Final = (*_REST_WRITERS, IMAGE_LANGUAGE, "grpc")
TITLES: Final[Mapping[str, str]] = {
    "bash": "curl (bash, zsh)",
    "cmd": "curl (Windows cmd)",
    "powershell": "PowerShell",
    "python": "Python (requests)",
    "node": "Node.js",
    IMAGE_LANGUAGE: "Node.js with an image file (jimp, superagent)",
    "grpc": "gRPC (Python)",
}


def client_text(language: str, request: Request) -> str:
    """The request in one of `LANGUAGES`; empty where that client cannot send it."""
    if language == "grpc":
        has_inputs = request.document is not None or bool(request.columns)
        return _grpc(request) if request.grpc_address and has_inputs else ""
    if request.document is None or not request.base_url:
        return ""
    if language == IMAGE_LANGUAGE:
        return _image(request)
    return _REST_WRITERS[language](request.url, request.document, request.needs_token)


def rest_texts(url: str, document: Mapping[str, Any], needs_token: bool) -> dict[str, str]:
    """Every program that sends `document` by REST, by language, whatever the model's signature."""
    return {language: write(url, document, needs_token) for language, write in _REST_WRITERS.items()}


def _image(request: Request) -> str:
    image = image_input(request.signature)
    if image is None:
        return ""
    token_variable = TOKEN_VARIABLE if request.needs_token else None
    return image_program(request.url, image, request.signature_name or DEFAULT_SIGNATURE, token_variable)


def _grpc(request: Request) -> str:
    spec, lines = request.spec, []
    columns = request.columns
    if request.document is not None:
        columns = columns_of_document(request.document, request.signature)
    if spec.version is not None:
        lines.append(f"request.model_spec.version.value = {spec.version}")
    if spec.label is not None:
        lines.append(f"request.model_spec.version_label = {spec.label!r}")
    lines.append(f"request.model_spec.signature_name = {request.signature_name!r}")
    for alias, value in columns.items():
        known = DTYPES.get(request.signature.inputs[alias].dtype)
        dtype = "string" if known is None or known.name == "string" else str(known.numpy)
        lines.append(
            f"request.inputs[{alias!r}].CopyFrom(tf.make_tensor_proto({python_expression(_raw(value))}, {dtype!r}))"
        )
    body = "\n".join(lines)
    return (
        "import grpc\n"
        "import tensorflow as tf\n"
        "from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc\n\n"
        "request = predict_pb2.PredictRequest()\n"
        f"request.model_spec.name = {spec.name!r}\n{body}\n\n"
        f"with grpc.insecure_channel({request.grpc_address!r}) as channel:\n"
        "    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)\n"
        "    reply = stub.Predict(request, timeout=30)\n"
        "for name, tensor in reply.outputs.items():\n"
        "    print(name, tf.make_ndarray(tensor).tolist())"
    )


def _raw(value: Any) -> Any:
    """Nested lists with their `{"b64": …}` as the bytes that these mean."""
    if isinstance(value, list):
        return [_raw(item) for item in value]
    if isinstance(value, Mapping):
        return base64.b64decode(value["b64"])
    return value


def _program(document: Mapping[str, Any]) -> str:
    return f"import json; print(json.dumps({python_expression(document)}))"


def python_expression(value: object) -> str:
    """Python source of a nested value, with repeated elements written as a product."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_quoted(key)}: {python_expression(item)}" for key, item in value.items()) + "}"
        )
    if not isinstance(value, list):
        return _quoted(value) if isinstance(value, str) else repr(value)
    if len(value) > 1 and all(item == value[0] for item in value):
        return f"[{python_expression(value[0])}] * {len(value)}"
    return "[" + ", ".join(python_expression(item) for item in value) + "]"


def _quoted(text: str) -> str:
    """A literal between apostrophes, also where `repr` prefers quotation marks."""
    literal = repr(text)
    if literal.startswith("'"):
        return literal
    escaped = literal[1:-1].replace("'", "\\'")
    return f"'{escaped}'"


def _javascript(value: object) -> str:
    """JavaScript source of a nested value, with repeated elements filled in."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)}: {_javascript(item)}" for key, item in value.items()) + "}"
    if not isinstance(value, list):
        return json.dumps(value)
    if len(value) > 3 and all(item == value[0] for item in value):
        return f"Array({len(value)}).fill({_javascript(value[0])})"
    return "[" + ", ".join(_javascript(item) for item in value) + "]"
