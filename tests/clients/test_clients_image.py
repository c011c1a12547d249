"""The Node.js programs that snippets write for models of images: run as written, on image files."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from jupyter_tfserve.client import Client
from jupyter_tfserve.client.image_program import ImageInput, image_input
from jupyter_tfserve.client.programs import IMAGE_LANGUAGE, Request, client_text
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec
from tests.clients.conftest import needed

OUTPUTS = {"y": TensorSpec("", "float", (-1, 10))}


def signature(dtype, *shape, alias="x", outputs=None):
    return Signature("", {alias: TensorSpec("", dtype, shape)}, outputs or OUTPUTS)


@pytest.mark.parametrize(
    ("found", "image"),
    [
        (signature("float", -1, 28, 20), ImageInput("x", 28, 20, None)),
        (signature("uint8", -1, 28, 28, 1), ImageInput("x", 28, 28, 1, True)),
        (signature("half", -1, 224, 224, 3), ImageInput("x", 224, 224, 3)),
        (signature("string", -1, alias="jpeg"), ImageInput("jpeg")),
        (signature("string", -1), None),
        (signature("string", -1, 1, alias="jpeg"), None),
        (signature("float", -1, 28, 28, 4), None),
        (signature("float", -1, 4, 4), None),
        (signature("float", -1, -1, -1, 3), None),
        (signature("bool", -1, 28, 28), None),
        (signature("float", 1, 28, 28), None),
        (signature("float", -1, 28, 28, outputs={"y": TensorSpec("", "float", ())}), None),
        (Signature("", {}, OUTPUTS), None),
    ],
)
def test_image_input_is_known_by_its_shape(found, image):
    assert image_input(found) == image


@pytest.mark.slow
@pytest.mark.parametrize(("model", "suffix"), [("MLP", "png"), ("MLP_jpeg", "jpg")])
def test_program_reads_a_digit_when_run(examples_engine, digit_files, node_folder, model, suffix):
    node = needed("node")
    url = examples_engine.connection.rest_url
    with Client(url) as client:
        found = client.metadata(model).signatures["serving_default"]
    request = Request(ModelSpec(model), "serving_default", found, {"instances": []}, {}, url, "")
    program = node_folder / f"{model}.cjs"
    program.write_text(client_text(IMAGE_LANGUAGE, request))
    for digit in (2, 7):
        command = [node, program, digit_files / f"{digit}.{suffix}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert np.argmax(json.loads(done.stdout)["predictions"][0]) == digit


@pytest.mark.parametrize(
    "found",
    [signature("uint8", -1, 9, 9, 3), signature("float", -1, 9, 9, 1), signature("string", -1, alias="img")],
)
def test_program_is_javascript_and_has_no_token_in_it(tmp_path, found):
    base = "https://hub/user/it's `${ann}`/jupyter-tfserve"
    request = Request(ModelSpec("m`"), "si'g", found, {"instances": []}, {}, base, "", needs_token=True)
    text = client_text(IMAGE_LANGUAGE, request)
    assert "`token ${process.env.JUPYTER_TOKEN}`" in text
    assert 'signature_name: "si\'g"' in text
    (tmp_path / "client.cjs").write_text(text)
    done = subprocess.run(
        [needed("node"), "--check", tmp_path / "client.cjs"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
