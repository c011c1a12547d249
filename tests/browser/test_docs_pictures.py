"""The pictures of docs: `TFSERVE_SCREENSHOTS=docs/images pytest tests/browser/test_docs_pictures.py` makes them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import expect

from tests.browser.conftest import TOKEN
from tests.browser.test_panel import write_notebook

FOLDER = os.environ.get("TFSERVE_SCREENSHOTS")
pytestmark = pytest.mark.skipif(FOLDER is None, reason="TFSERVE_SCREENSHOTS names no folder")
CARD, PANEL = ".jp-tfserve-Card", ".jp-tfserve-WidgetPanel"
MODEL = "regression_experiments"
ROWS = {"instances": [[1.0], [2.0], [5.0]]}
MANY = 600
LOAD = "%load_ext jupyter_tfserve"
QUERY = f"%%tfserve query {MODEL}@production\n[[1.0], [2.0], [5.0]]"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The quick start's two models."""
    folder = tmp_path_factory.mktemp("files")
    base = folder / "saved_models" / MODEL
    base.mkdir(parents=True)
    command = [sys.executable, "-m", "jupyter_tfserve.notebook.demo_models", str(base)]
    root = Path(__file__).parents[2]
    subprocess.run(command, check=True, cwd=base, env={**os.environ, "PYTHONPATH": str(root)}, timeout=200)
    return folder


@pytest.fixture
def labelled(api):
    """Both versions AVAILABLE, `production` on 1 and `staging` on 2."""
    control = "api/engines/default/control"
    assert api.post("api/engines", json={}).status_code == 200
    assert api.post(f"{control}/open", json={"path": "saved_models"}).status_code == 200
    assert api.put(f"{control}/models/{MODEL}/policy", json={"all": {}}).status_code == 200
    for label, version in (("production", 1), ("staging", 2)):
        wait = f"{control}/models/{MODEL}/versions/{version}/wait"
        assert api.get(wait, params={"timeout_s": 60}).json()["state"] == "AVAILABLE"
        put = api.put(f"{control}/models/{MODEL}/labels/{label}", json={"version": version})
        assert put.status_code == 200
        # A version's first answer takes longer than those that a picture should show.
        assert api.post(f"v1/models/{MODEL}/labels/{label}:predict", json=ROWS).status_code == 200


@pytest.fixture
def callers(api, labelled):
    """The number of answers that somebody who asks both labels all the time has got so far."""
    answers, stop = [], threading.Event()

    def ask():
        while not stop.wait(0.02):
            label = "staging" if len(answers) % 3 == 0 else "production"
            answers.append(api.post(f"v1/models/{MODEL}/labels/{label}:predict", json=ROWS).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    yield lambda: len(answers)
    stop.set()
    asking.join()
    assert set(answers) == {200}


def test_lab_shows_sidebar_card_and_answer(lab, callers, files):
    lab.page.set_viewport_size({"width": 1180, "height": 760})
    name = write_notebook(files, "serve.ipynb", f"{LOAD}\n%tfserve start ./saved_models", QUERY)
    lab.open_notebook(name)
    lab.run_all()
    card = lab.page.locator(CARD)
    expect(card.locator("[data-live='true']")).to_be_visible(timeout=60_000)
    expect(lab.page.get_by_text("answered in")).to_be_visible(timeout=60_000)
    expect(lab.chip("production", 1, MODEL)).to_be_visible()
    # By then the first, slow answers are few among many.
    lab.until(lambda: callers() > MANY)
    lab.screenshot("lab")
    card.screenshot(path=Path(FOLDER) / "card.png")


def test_page_shows_what_was_answered(page, jupyter_url, labelled):
    page.set_viewport_size({"width": 1000, "height": 760})
    page.goto(f"{jupyter_url}jupyter-tfserve/?token={TOKEN}")
    expect(page.locator("#body")).not_to_have_value("")
    page.locator("#version").select_option("labels/production")
    page.get_by_label("Body, JSON").fill('{"instances": [[1.0], [2.0], [5.0]]}')
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#outcome")).to_contain_text("OK")
    expect(page.locator("#snippet")).to_contain_text("[5.0]")
    page.screenshot(path=Path(FOLDER) / "page.png", full_page=True)


def test_panel_previews_what_a_move_changes(lab, callers, files):
    lab.page.set_viewport_size({"width": 1320, "height": 1100})
    name = write_notebook(files, "panel.ipynb", f"{LOAD}\n%tfserve panel {MODEL}")
    lab.open_notebook(name)
    lab.run_all()
    panel = lab.page.locator(PANEL)
    expect(panel.locator("tr[data-version='1']")).to_contain_text("production", timeout=60_000)
    panel.get_by_label("names version", exact=True).select_option(label="2 · AVAILABLE")
    expect(panel).to_contain_text("labels/production: 1 → 2.")
    shown_at = callers()
    lab.until(lambda: callers() > shown_at + MANY)
    panel.screenshot(path=Path(FOLDER) / "panel.png")
