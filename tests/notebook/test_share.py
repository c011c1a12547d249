"""Keys in a notebook: the key is in a private file, in nothing that shows itself, and gone when it is revoked."""

from __future__ import annotations

import json
import stat
import subprocess

import pytest
from IPython.core.formatters import DisplayFormatter
from nbformat.v4 import new_code_cell, new_notebook, new_output, writes

from jupyter_tfserve.engine.client import ControlClient
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.share import OPEN_NOTE, list_keys, share, unshare
from tests.notebook.http_stand_in import serve_stand_in

KEY = "tfserve_0123456789ab_" + "s" * 43
MADE = {
    "id": "0123456789ab",
    "models": ["m", "n"],
    "name": "Ann",
    "created": 0.0,
    "expires": 7200.0,
    "limits": {"requests_per_second": 5, "burst": None},
    "key": KEY,
    "required": True,
}


@pytest.fixture
def stand_in():
    with serve_stand_in() as stand_in:
        stand_in.answer(MADE)
        yield stand_in


@pytest.fixture
def client(stand_in):
    client = ControlClient(stand_in.url, "control token")
    yield client
    client.close()


@pytest.fixture
def shared(client, tmp_path):
    return share(
        client, ["m", "n"], "Ann", 7200.0, {"requests_per_second": 5}, "curl -d '{}' http://x", tmp_path
    )


def test_key_is_asked_for_as_it_was_said(shared, stand_in):
    (request,) = stand_in.requests
    assert (request.method, request.path) == ("POST", "/control/keys")
    assert json.loads(request.body) == {
        "models": ["m", "n"],
        "name": "Ann",
        "expires_s": 7200.0,
        "requests_per_second": 5,
    }


def test_key_lies_in_a_private_file_that_curl_reads(shared, stand_in):
    assert stat.S_IMODE(shared.file.stat().st_mode) == 0o600
    assert shared.key == KEY
    assert f"curl -H @{shared.file} -d '{{}}' http://x" in str(shared)
    subprocess.run(
        ["curl", "-s", "--noproxy", "*", "-H", f"@{shared.file}", stand_in.url], check=True, timeout=20
    )
    assert stand_in.requests[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_key_is_in_nothing_that_a_notebook_saves(shared):
    """S8: the output of the cell as JupyterLab would save it."""
    texts, metadata = DisplayFormatter().format(shared)
    output = new_output("execute_result", texts, metadata=metadata)
    saved = writes(new_notebook(cells=[new_code_cell("%tfserve share m", outputs=[output])]))
    assert MADE["id"] in saved
    assert KEY not in saved
    assert "s" * 43 not in saved
    for text in (str(shared), repr(shared), f"{shared!r}"):
        assert "s" * 43 not in text


def test_note_says_so_when_the_server_needs_no_key(client, stand_in, tmp_path):
    assert share(client, ["m"], "", None, {}, "", tmp_path).notes == ()
    stand_in.answer({**MADE, "id": "another", "required": False})
    assert share(client, ["m"], "", None, {}, "", tmp_path).notes == (OPEN_NOTE,)


def test_key_is_revoked_when_its_file_cannot_be_written(client, stand_in, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        share(client, ["m"], "", None, {}, "", tmp_path / "file")
    assert [request.method for request in stand_in.requests] == ["POST", "DELETE"]


def test_revoked_key_loses_its_file_and_an_unknown_one_is_named(client, stand_in, shared, tmp_path):
    stand_in.answer({})
    unshare(client, MADE["id"], tmp_path)
    assert not shared.file.exists()
    stand_in.answer({"error": "There is no key '../x'", "code": "NOT_FOUND", "hint": None}, 404)
    with pytest.raises(ServingError) as caught:
        unshare(client, "../x", tmp_path)
    assert caught.value.code is Code.NOT_FOUND
    assert stand_in.requests[-1].path == "/control/keys/..%2Fx"


def test_keys_are_listed_a_line_each(client, stand_in):
    stand_in.answer({"keys": [{**MADE, "is_expired": True}], "required": False})
    assert str(list_keys(client)) == (
        "0123456789ab  m, n  expired  5/s (Ann)\nRequests need no key."
    )  # fmt: skip
    stand_in.answer({"keys": [], "required": True})
    assert (
        str(list_keys(client)) == "There are no keys: `%tfserve share MODEL` makes one.\nRequests need a key."
    )
