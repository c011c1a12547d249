"""The pure TypeScript: the sidebar's curl line is the kernel's, previews tell what a label's move does."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from jupyter_tfserve.client.programs import curl_line
from jupyter_tfserve.codec.sample_request import choose_signature, example_document
from jupyter_tfserve.engine.client_figures import VersionFigures
from jupyter_tfserve.notebook.figure_view import figures_line
from jupyter_tfserve.types import ModelSpec, Signature, TensorSpec
from tests.browser.conftest import ROOT, missing

SOURCES = ROOT / "labextension"
TSC = SOURCES / "node_modules" / "typescript" / "bin" / "tsc"
PREDICT = "tensorflow/serving/predict"
URL = "http://127.0.0.1:8501"


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """A folder with the compiled modules, which import nothing at run time."""
    if shutil.which("node") is None or not TSC.exists():
        missing("needs node, and `npm ci` in labextension/")
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "package.json").write_text('{"type": "module"}')
    subprocess.run(["node", TSC, "-p", SOURCES, "--outDir", folder], check=True)
    return folder


@pytest.fixture
def evaluate(modules):
    """`evaluate("labels", "previewMove(...)")`: the value of an expression, by way of JSON."""

    def run(module, expression):
        trans = (
            "const fill = (text, ...values) => text.replace(/%(\\d)/g, (_, n) => values[n - 1]);"
            "const trans = {__: fill, _n: (one, many, n) => fill(n === 1 ? one : many, n)};"
        )
        code = (
            f"const m = await import('{modules / module}.js'); {trans}"
            f"console.log(JSON.stringify({expression}))"
        )
        done = subprocess.run(
            ["node", "--input-type=module", "-e", code], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return run


def tensor(dtype, *shape):
    return TensorSpec("", dtype, shape)


SIGNATURES = {
    "row": Signature(PREDICT, {"x": tensor("float", -1, 3)}, {"y": tensor("float", -1, 1)}),
    "scalar rows": Signature(PREDICT, {"x": tensor("int32", -1)}, {"y": tensor("float", -1)}),
    "two inputs": Signature(
        PREDICT, {"a": tensor("string", -1), "b c": tensor("bool", -1, 2)}, {"y": tensor("float", -1)}
    ),
    "no rows": Signature(PREDICT, {"x": tensor("double", 2, 2)}, {"y": tensor("double")}),
    "unknown rank": Signature(
        PREDICT, {"x": TensorSpec("", "float", None)}, {"y": TensorSpec("", "float", None)}
    ),
    "quote": Signature(
        PREDICT, {"it's": tensor("float", -1), "b": tensor("int64", -1)}, {"y": tensor("float", -1)}
    ),
    "half": Signature(PREDICT, {"x": tensor("half", -1)}, {"y": tensor("half", -1)}),
    "complex": Signature(PREDICT, {"x": tensor("complex64", -1)}, {"y": tensor("half", -1)}),
    "picture": Signature(PREDICT, {"the Image": tensor("string", -1)}, {"y": tensor("float", -1)}),
    "bytes": Signature(
        PREDICT, {"a_bytes": tensor("string", -1), "b": tensor("uint16", -1)}, {"y": tensor("float", -1)}
    ),
    "classify": Signature("tensorflow/serving/classify", {"x": tensor("string", -1)}, {}),
}


def document_of(signatures):
    def specs(tensors):
        return {
            name: {"dtype": spec.dtype, "shape": None if spec.shape is None else list(spec.shape)}
            for name, spec in tensors.items()
        }

    return {
        "version": 1,
        "signatures": {
            name: {
                "method_name": signature.method_name,
                "inputs": specs(signature.inputs),
                "outputs": specs(signature.outputs),
            }
            for name, signature in signatures.items()
        },
    }


def kernels_line(signatures, spec):
    chosen = choose_signature(signatures)
    document = None if chosen is None else example_document(chosen[1], chosen[0])
    return None if document is None else curl_line(URL, spec, document)


def sidebars_line(evaluate, signatures, target):
    return evaluate("snippets", f"m.curlLine({json.dumps(target)}, {json.dumps(document_of(signatures))})")


@pytest.mark.parametrize("key", ["serving_default", "other"])
@pytest.mark.parametrize("name", SIGNATURES)
def test_curl_line_is_the_kernels(evaluate, name, key):
    signatures = {key: SIGNATURES[name], "zz_classify": SIGNATURES["classify"]}
    assert sidebars_line(evaluate, signatures, {"url": URL + "/", "model": "m"}) == kernels_line(
        signatures, ModelSpec("m")
    )


def test_curl_line_names_the_label(evaluate):
    signatures = {"serving_default": SIGNATURES["row"]}
    target = {"url": URL, "model": "m", "label": "a b"}
    assert sidebars_line(evaluate, signatures, target) == kernels_line(
        signatures, ModelSpec("m", label="a b")
    )


def test_long_body_is_made_by_a_program_that_prints_it(evaluate):
    signature = Signature(
        PREDICT, {"x": tensor("float", -1, 28, 28), "f": tensor("bool", -1)}, {"y": tensor("float", -1)}
    )
    line = sidebars_line(evaluate, {"serving_default": signature}, {"url": URL, "model": "m"})
    program, _, rest = line.partition(" | ")
    assert rest == f"curl -d @- {URL}/v1/models/m:predict"
    done = subprocess.run(
        ["sh", "-c", program.replace("python", "python3", 1)], capture_output=True, check=True
    )
    assert json.loads(done.stdout) == example_document(signature)


MODEL = {
    "name": "m",
    "labels": {"stable": 1},
    "versions": [
        {"version": 2, "state": "AVAILABLE"},
        {"version": 1, "state": "AVAILABLE"},
        {"version": 3, "state": "END"},
    ],
}


def preview(evaluate, label, source, target):
    move = {"engine": "e", "model": "m", "label": label, "from": source, "to": target}
    return evaluate("labels", f"m.previewMove({json.dumps(move)}, {json.dumps(MODEL)}, trans)")


def test_preview_tells_what_callers_get(evaluate):
    moved = preview(evaluate, "stable", 1, 2)
    assert moved[0] == "The next request to /v1/models/m/labels/stable gets version 2 instead of 1."
    assert moved[-1] == "Requests under way are answered by version 1."
    assert "until now they fail" in preview(evaluate, "new", None, 2)[0]
    assert "will fail" in preview(evaluate, "stable", 1, None)[0]
    assert preview(evaluate, "stable", 1, 1) == ["stable names version 1 already: nothing changes."]
    assert preview(evaluate, "stable", 1, 3)[-1] == "Version 3 is END: the server may refuse this."
    assert "not there" in preview(evaluate, "stable", 1, 9)[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stable", True),
        ("a b", True),
        ("", False),
        ("  ", False),
        ("a/b", False),
        ("..", False),
        ("a\n", False),
    ],
)
def test_label_must_fit_into_one_part_of_an_address(evaluate, text, expected):
    assert evaluate("labels", f"m.isLabel({json.dumps(text)})") is expected


def test_move_can_be_undone_only_while_the_label_is_where_it_was_put(evaluate):
    move = {"engine": "e", "model": "m", "label": "stable", "from": 2, "to": 1}
    undone = {**move, "from": 1, "to": 2}
    assert evaluate("labels", f"m.undoOf({json.dumps(move)})") == undone
    assert evaluate("labels", f"m.isUndoable({json.dumps(move)}, {json.dumps(MODEL)})") is True
    assert evaluate("labels", f"m.isUndoable({json.dumps(undone)}, {json.dumps(MODEL)})") is False
    assert evaluate("labels", f"m.isUndoable({json.dumps(move)}, undefined)") is False


@pytest.mark.parametrize(
    ("engines", "expected"),
    [
        ([], "Serving: off"),
        ([("starting", 0)], "Serving: starting"),
        ([("running", 1)], "Serving: 1 model"),
        ([("running", 2), ("running", 1)], "Serving: 3 models"),
        ([("running", 2), ("failed", 0)], "Serving: failed"),
    ],
)
def test_status_is_one_line(evaluate, engines, expected):
    views = [
        {"engine": {"name": str(i), "state": state}, "models": [{}] * n}
        for i, (state, n) in enumerate(engines)
    ]
    state = {"phase": "ready", "engines": views}
    assert evaluate("state", f"m.summarize({json.dumps(state)}, trans)") == expected


FIGURES = {
    "requests": 7,
    "requests_per_second": 1234.6,
    "errors_per_second": 0.25,
    "p50_ms": 0.4167,
    "p99_ms": 12.3,
    "memory_bytes": 24_300_000,
    "disk_bytes": 999_900,
    "available_since": 100.0,
}


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({}, 160.0),
        ({"requests_per_second": 0.01667, "p50_ms": 99.4, "p99_ms": 2345.6}, 99.0),
        ({"requests": 0, "errors_per_second": 0, "p50_ms": None, "p99_ms": None}, 90_000.0),
        ({"memory_bytes": None, "disk_bytes": 8, "available_since": None, "p50_ms": 0.01}, 0.0),
        ({"requests_per_second": 99.96, "p99_ms": 9.96, "memory_bytes": 9_960_000}, 7300.0),
        ({"rows_per_batch": 5.25, "batch_rows": 64, "waiting": 3, "devices": ["CPU"]}, 160.0),
        ({"rows_per_batch": 1.0, "devices": ["GPU:1", "GPU:0"]}, 160.0),
        ({"waiting": 2, "batch_rows": 64, "devices": ["CPU", "GPU:0", "CPU"]}, 160.0),
    ],
)
def test_figures_are_in_the_kernels_words(evaluate, changes, now):
    figures = {**FIGURES, **changes}
    shown = evaluate("figures", f"m.describeFigures({json.dumps(figures)}, {now}, trans)")
    groups = [", ".join(group) for group in shown]
    assert ", ".join(groups) == figures_line(VersionFigures(**figures), now)


def test_curve_ends_at_the_right_edge_and_is_said_in_words(evaluate):
    history = [{"time": 1, "requests_per_second": rate, "p99_ms": None} for rate in (0, 4, 8)]
    shown = evaluate(
        "figures", f"[m.curvePoints({json.dumps(history)}), m.describeCurve({json.dumps(history)}, trans)]"
    )
    assert shown == ["86.9,17.0 88.5,9.0 90.0,1.0", "Requests a second in the last 3 s, 8 at most"]
    assert evaluate("figures", f"m.describeCurve({json.dumps(history[:1])}, trans)") == ""
