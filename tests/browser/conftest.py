"""A real JupyterLab and Notebook 7 in a real browser: the committed bundle, our server extension, real engines.

pytest-playwright is not used: its session-wide event loop would be in the way of this repository's async tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.browser.pages import Lab

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "jupyter_tfserve" / "labextension"
START_TIMEOUT_S = 90
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EXPECT_TIMEOUT_MS = 15_000
TOKEN = "hush"
FRONT_ENDS_OWN = (
    "Cannot read properties of undefined (reading 'schema')",
    "Canceled future for ",
)
"""Errors that are logged with no extension installed too: by Notebook 7.6 on every page; by JupyterLab where a kernel
is shut down before it answered what Lab's widgets asked it (ours ask a kernel nothing).
"""


def missing(reason):
    """On a developer's machine the browser is optional; in CI it must be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    """Chromium, for one module."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("the browser tests need the package playwright")
    found = [path for path in map(shutil.which, BROWSERS) if path]
    if not found:
        missing(f"the browser tests need one of {', '.join(BROWSERS)}")
    expect.set_options(timeout=EXPECT_TIMEOUT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found[0], headless=True, args=list(BROWSER_FLAGS)
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def files(make_saved_models, tmp_path_factory):
    """What Jupyter's file browser shows: `saved_models/version` with versions 1 and 2, and a broken model."""
    base = make_saved_models("version=1", "version=2")
    folder = tmp_path_factory.mktemp("files")
    for version in ("1", "2"):
        shutil.copytree(base / "version" / version, folder / "saved_models" / "version" / version)
    broken = folder / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_bytes(b"no model")
    (folder / "empty_folder").mkdir()
    (folder / "empty_folder" / "readme.txt").write_text("nothing to serve")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Jupyter's own folders, with our bundle linked and no first-run news."""
    home = tmp_path_factory.mktemp("home")
    extensions = home / "data" / "labextensions"
    extensions.mkdir(parents=True)
    (extensions / "jupyter-tfserve").symlink_to(BUNDLE)
    news = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    config = home / "config" / "jupyter_server_config.json"
    config.parent.mkdir()
    config.write_text(
        json.dumps(
            {
                "ServerApp": {"jpserver_extensions": {"jupyter_tfserve": True}, "allow_root": True},
                "IdentityProvider": {"token": TOKEN},
                "LabApp": {"expose_app_in_browser": True},
                "JupyterNotebookApp": {"expose_app_in_browser": True},
                # Ports that nobody else needs.
                "TFServe": {"rest_port": -1, "grpc_port": -1},
            }
        )
    )
    return home


@pytest.fixture(scope="module")
def jupyter_url(home, files):
    """The address of a running Jupyter server, without the token."""
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment |= {name: str(home / folder) for name, folder in folders.items()}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=files, env=environment, stdout=log, stderr=log)
        try:
            yield _address(home / "runtime" / f"jpserver-{process.pid}.json", process, home / "log")
        finally:
            process.terminate()
            process.wait(60)


def _address(described, process, log):
    """The server's URL, once it answers: it is written down a little before."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        if described.exists():
            url = json.loads(described.read_text())["url"].replace("localhost", "127.0.0.1")
            try:
                if httpx.get(f"{url}api", trust_env=False).status_code == 200:
                    return url
            except httpx.TransportError:
                pass
        time.sleep(0.05)


@pytest.fixture
def api(jupyter_url):
    """The server extension's API, for what a test arranges and checks beside the browser."""
    headers = {"Authorization": f"token {TOKEN}"}
    base = f"{jupyter_url}jupyter-tfserve/"
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=120) as client:
        yield client


@pytest.fixture
def no_engine(api):
    """Nothing is served before and after the test."""
    api.delete("api/engines/default")
    yield
    api.delete("api/engines/default")


@pytest.fixture
def serving(api):
    """`version` with both versions AVAILABLE, and one label, `production`, on version 1."""
    control = "api/engines/default/control"
    model = f"{control}/models/version"
    assert api.post("api/engines", json={}).status_code == 200
    assert api.post(f"{control}/open", json={"path": "saved_models"}).status_code == 200
    assert api.put(f"{model}/policy", json={"all": {}}).status_code == 200
    for version in (1, 2):
        reached = api.get(f"{model}/versions/{version}/wait", params={"timeout_s": 60}).json()
        assert reached["state"] == "AVAILABLE", reached
    (state,) = api.get(f"{control}/state").json()["models"]
    for label in state["labels"]:
        assert api.delete(f"{model}/labels/{quote(label, safe='')}").status_code == 200
    assert api.put(f"{model}/labels/production", json={"version": 1}).status_code == 200
    return control


@pytest.fixture
def fired():
    """S7's canary: what scripts that came in as names, labels or errors have said, in any page or frame of the test."""
    return []


@pytest.fixture
def page(browser, request, fired):
    """A fresh page; the test fails when it logged an error, or when the canary fired."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.expose_function("canary", lambda text: fired.append(text))  # noqa: PLW0108  no builtin
    context.add_init_script("window.alert = (text) => window.canary(String(text));")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(30_000)
    crashes = []
    page.on("pageerror", lambda error: crashes.append(error.stack or str(error)))
    yield page
    context.close()
    assert [crash for crash in crashes if not any(own in crash for own in FRONT_ENDS_OWN)] == []
    assert fired == []


@pytest.fixture
def lab(page, jupyter_url):
    """JupyterLab with an empty workspace and our sidebar open."""
    lab = Lab(page, jupyter_url, TOKEN)
    lab.open()
    return lab
