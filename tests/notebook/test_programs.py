"""Client texts: run for real where their program is here, else read by their language's own quoting rules."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.client.programs import (
    IMAGE_LANGUAGE,
    LANGUAGES,
    Request,
    client_text,
    curl_line,
    python_expression,
)
from jupyter_tfserve.codec.sample_request import PREDICT_METHOD
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.addresses import Place
from jupyter_tfserve.notebook.snippet_view import write_snippets
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec

NASTY = 'it\'s <a> "b" & %PATH% $HOME `id` ^ | \\ é ’'


def request(document, **changes):
    signature = Signature(PREDICT_METHOD, {"x": TensorSpec("", "float", (-1, 1))}, {})
    settings = {
        "spec": ModelSpec("m"),
        "signature_name": "serving_default",
        "signature": signature,
        "document": document,
        "columns": {"x": [[1.0]]},
        "base_url": "http://127.0.0.1:8501",
        "grpc_address": "127.0.0.1:8500",
    }
    return Request(**{**settings, **changes})


def split_cmd(line):
    """The program's arguments: cmd.exe's carets and quotes first, then CommandLineToArgvW's rules."""
    read, is_quoted, index = "", False, 0
    while index < len(line):
        character = line[index]
        if character == "^" and not is_quoted:
            index += 1
            character = line[index]
        elif character == '"':
            is_quoted = not is_quoted
        else:
            assert is_quoted or character not in "&|<>", f"cmd would act on {character!r}"
        read += character
        index += 1
    words, word, is_quoted = [], None, False
    for match in re.finditer(r'(\\*)"|(\s+)|(.)', read):
        slashes, space, other = match.groups()
        if slashes is not None:
            word = (word or "") + "\\" * (len(slashes) // 2)
            if len(slashes) % 2:
                word += '"'
            else:
                is_quoted = not is_quoted
        elif space is not None and not is_quoted:
            words, word = words + ([word] if word is not None else []), None
        else:
            word = (word or "") + (space or other)
    return words + ([word] if word is not None else [])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=30))
def test_cmd_line_survives_the_shell_when_the_text_is_any(text):
    document = {"instances": [text]}
    words = split_cmd(client_text("cmd", request(document)))
    assert words[:2] == ["curl", "-d"]
    assert json.loads(words[2]) == document
    assert words[3:] == ["http://127.0.0.1:8501/v1/models/m:predict"]


@given(st.text(max_size=30))
def test_shell_line_survives_when_the_text_is_any(text):
    document = {"instances": [text]}
    words = shlex.split(client_text("bash", request(document)))
    assert json.loads(words[2]) == document


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_powershell_body_survives_when_the_text_is_any(text):
    document = {"instances": [text]}
    line = client_text("powershell", request(document))
    body = line.partition("-Body '")[2]
    assert body.endswith("'")
    inner = body[:-1]
    assert re.sub("(['‘’‚‛])\\1", "", inner).count("'") == 0
    assert json.loads(re.sub("(['‘’‚‛])\\1", r"\1", inner)) == document


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_powershell_program_has_no_quotation_mark_when_the_body_is_long(text):
    document = {"instances": [{"it's": text, "x": [1.5] * 300}]}
    line = client_text("powershell", request(document))
    program = re.sub("(['‘’‚‛])\\1", r"\1", line.partition("(python -c '")[2][:-2])
    assert '"' not in program
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    assert json.loads(printed.getvalue()) == document


def test_curl_line_makes_the_body_by_program_when_it_is_large():
    document = {"instances": [np.ones((28, 28, 1)).tolist()]}
    line = curl_line("http://h:1/", ModelSpec("it's", label="l"), document)
    assert len(line) < 300
    program, pipe = line.split(" | ")
    words = shlex.split(program)
    assert words[0] == "python"
    made = subprocess.run([sys.executable, *words[1:]], capture_output=True, check=True)
    assert json.loads(made.stdout) == document
    assert pipe == "curl -d @- http://h:1/v1/models/it%27s/labels/l:predict"


@given(st.recursive(st.integers() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=4)))
def test_expression_gives_the_value_back_when_evaluated(value):
    assert eval(python_expression({"a": value})) == {"a": value}


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name not in ("grpc", IMAGE_LANGUAGE)])
def test_token_comes_from_the_environment_when_the_way_is_through_jupyter(language):
    through = request(
        {"instances": [[1.0]]}, base_url="https://hub/user/ann/jupyter-tfserve", needs_token=True
    )
    text = client_text(language, through)
    assert "JUPYTER_TOKEN" in text
    assert "https://hub/user/ann/jupyter-tfserve/v1/models/m:predict" in text


def run_client(folder, language, text):
    """What the client prints, run as its user runs it."""
    environment = {"PATH": os.environ["PATH"], "TF_CPP_MIN_LOG_LEVEL": "3", "no_proxy": "127.0.0.1"}
    commands = {
        "bash": ["bash", "-c", text],
        "python": [sys.executable, "-c", text],
        "grpc": [sys.executable, "-c", text],
        "node": ["node", str(folder / "client.mjs")],
    }
    (folder / "client.mjs").write_text(text, encoding="utf-8")
    done = subprocess.run(
        commands[language], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("language", ["bash", "python", "node", "grpc"])
@pytest.mark.parametrize(
    ("target", "row", "part"),
    [
        ("version/2", [[7.0]], "2"),
        ("strings", {"text": [NASTY], "suffix": ["!"]}, "B"),
        ("unbatched", None, "2"),
        ("keras/1", None, "["),
    ],
)
def test_client_gets_an_answer_when_run(server, tmp_path, language, target, row, part):
    if language == "grpc" and target in ("version/2", "unbatched"):
        pytest.skip("each gRPC client imports TensorFlow: two of them are enough")
    program = {"node": "node", "bash": "curl"}.get(language)
    if program is not None and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    text = server.snippets(target, [language], row=row)[language]
    assert part in run_client(tmp_path, language, text)


def test_answer_is_the_same_in_every_client_when_the_text_is_nasty(server, tmp_path):
    row = {"text": [NASTY], "suffix": ["!"]}
    expected = server.query("strings", row)["joined"].tolist()
    snippets = server.snippets("strings", ["python", "bash"], row=row)
    assert "Binary" not in snippets["bash"]
    for language in ("python", "bash"):
        printed = run_client(tmp_path, language, snippets[language])
        document = json.loads(printed) if language == "bash" else eval(printed)
        (answer,) = [item["joined"] for item in document.get("predictions", [])] or document["outputs"][
            "joined"
        ]
        assert answer in (expected[0], expected[0].decode() if isinstance(expected[0], bytes) else None)


def test_snippet_sends_the_last_row_when_a_model_was_asked(server):
    server.query("version/1", np.array([[3.25], [4.5]], np.float32))
    assert "[[3.25]]" in server.snippets("version", ["bash"])["bash"]
    assert "[[9.5]]" in server.snippets("version", ["bash"], row=[[9.5], [1.0]])["bash"]


def test_snippets_say_so_when_jupyter_is_not_on_the_way(server):
    from jupyter_tfserve.notebook.addresses import Via

    with pytest.raises(ServingError) as caught:
        server.snippets("version", via=Via.JUPYTER)
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_note_says_what_is_missing_when_json_cannot_hold_the_inputs():
    signature = Signature(PREDICT_METHOD, {"x": TensorSpec("", "complex64", (-1,))}, {})
    place = Place("http://h:1", "h:2", False, ("a note",))
    snippets = write_snippets(ModelSpec("m"), ("serving_default", signature), None, place)
    assert list(snippets.texts) == ["grpc"]
    assert "tf.make_tensor_proto([1.0], 'complex64')" in snippets["grpc"]
    assert "curl (bash, zsh)" in snippets.notes[-1]
    image = write_snippets(ModelSpec("m"), ("serving_default", signature), None, place, [IMAGE_LANGUAGE])
    assert "inputs that are not images" in image.notes[-1]
    closed = write_snippets(ModelSpec("m"), ("serving_default", signature), None, Place("", ""))
    assert dict(closed.texts) == {}


def test_no_snippet_is_written_when_a_row_is_endless():
    signature = Signature(PREDICT_METHOD, {"x": TensorSpec("", "float", (-1, 2**62))}, {})
    place = Place("http://h:1", "h:2")
    snippets = write_snippets(ModelSpec("m"), ("serving_default", signature), None, place)
    assert dict(snippets.texts) == {}
    assert "too large" in snippets.notes[-1]


def test_markup_is_text_when_a_row_holds_it():
    signature = Signature(PREDICT_METHOD, {"x": TensorSpec("", "string", (-1,))}, {})
    row = {"instances": ["<script>"]}
    spec = ModelSpec("<b>")
    html = write_snippets(
        spec, ("serving_default", signature), row, Place("http://h", "")
    )._repr_mimebundle_()
    assert "<script>" not in html["text/html"]
    assert "<b>" not in html["text/html"]
