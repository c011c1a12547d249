"""What follows without being asked: the sidebar after a magic, a card without a kernel, Notebook 7, no server part."""

from __future__ import annotations

import json
import re
import threading
import time

import nbformat
import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from playwright.sync_api import expect

from tests.browser.pages import PANEL

CARD_MIME = "application/vnd.jupyter-tfserve.card+json"


def write_notebook(files, name, *cells):
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, files / name)
    return name


def card_cell(**changes):
    """A cell that ran long ago and left a card."""
    model = {
        "name": "version",
        "base_path": "/gone",
        "labels": {"production": 7},
        "versions": [{"version": 7, "state": "AVAILABLE", "error_code": "OK", "error_message": ""}],
        "problem": "",
        "curl": "curl -d '<b>' http://127.0.0.1:1/v1/models/version:predict",
    }
    card = {
        "api_level": 1,
        "engine_name": "default",
        "owner": "the Jupyter server",
        "time": 1.0e9,
        "engine": {"rest_url": "http://127.0.0.1:1", "grpc_address": None},
        "models": [model],
        "notes": [],
        **changes,
    }
    data = {CARD_MIME: card, "text/plain": "a card", "text/html": "<p>the fallback</p>"}
    output = nbformat.v4.new_output("execute_result", data=data, execution_count=1)
    return nbformat.v4.new_code_cell("%tfserve status", outputs=[output], execution_count=1)


@pytest.fixture
def card(lab):
    return lab.page.locator(".jp-tfserve-Card")


def test_sidebar_follows_a_magic_while_the_kernel_is_busy(lab, serving, files):
    code = (
        "import time; ip = get_ipython(); ip.run_line_magic('load_ext', 'jupyter_tfserve')\n"
        "ip.run_line_magic('tfserve', 'label production=2')\n"
        "time.sleep(60)"
    )
    lab.open_notebook(write_notebook(files, "magic.ipynb", nbformat.v4.new_code_cell(code)))
    expect(lab.chip("production", 1)).to_be_visible()
    lab.run("notebook:run-cell")
    expect(lab.chip("production", 2)).to_be_visible(timeout=30_000)
    # And the sidebar acts although the cell still runs.
    expect(lab.page.locator(".jp-Notebook-ExecutionIndicator[data-status='busy']").first).to_be_attached()
    lab.chip("production", 2).click()
    lab.panel.locator("select[name='version']").select_option("1")
    lab.action("apply-label").click()
    expect(lab.chip("production", 1)).to_be_visible()


def test_change_of_others_arrives_sooner_than_any_poll(lab, serving, api):
    expect(lab.chip("production", 1)).to_be_visible()
    # Just asked: the next poll is five seconds away.
    lab.run("jupyter-tfserve:refresh")
    api.put(f"{serving}/models/version/labels/production", json={"version": 2})
    expect(lab.chip("production", 2)).to_be_visible(timeout=2000)


def test_no_request_fails_while_the_label_moves(lab, serving, api):
    expect(lab.chip("production", 1)).to_be_visible()
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            path = "v1/models/version/labels/production:predict"
            reply = api.post(path, json={"instances": [[1.0]]})
            document = reply.json()
            answers.append(document["predictions"][0]["version"] if reply.status_code == 200 else document)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for version in (2, 1, 2):
            lab.run("jupyter-tfserve:move-label", model="version", label="production", version=version)
            expect(lab.chip("production", version)).to_be_visible()
            seen = len(answers)
            deadline = time.monotonic() + 20
            while len(answers) < seen + 3 and time.monotonic() < deadline:
                lab.page.wait_for_timeout(20)
    finally:
        stop.set()
        asking.join()
    assert set(answers) == {1, 2}
    assert answers[-1] == 2


def test_card_is_live_without_a_kernel_and_after_a_reload(lab, serving, card, files, api):
    name = write_notebook(files, "card.ipynb", card_cell(notes=["Version 7 is still loading."]))
    lab.open_notebook(name)
    row = card.locator("tr[data-version='1']")
    expect(row.locator("[data-label='production']")).to_be_visible()
    expect(card.locator("[data-live='true']")).to_be_visible()
    # It was about a state that is over.
    expect(card).not_to_contain_text("still loading")
    lab.screenshot("card-live")
    lab.run("kernelmenu:shutdown")
    api.put(f"{serving}/models/version/labels/production", json={"version": 2})
    expect(card.locator("tr[data-version='2'] [data-label='production']")).to_be_visible()
    # A page of its own: whether Lab restores its layout after a reload is Lab's affair.
    lab.open(f"lab/tree/{name}", query="")
    expect(card.locator("tr[data-version='2'] [data-label='production']")).to_be_visible(timeout=60_000)
    card.locator("[data-action='copy-curl']").click()
    expect(card.locator("pre")).to_contain_text("curl -d")
    lab.run("apputils:change-theme", theme="JupyterLab Dark")
    lab.screenshot("card-dark")
    lab.run("apputils:change-theme", theme="JupyterLab Light")


def test_card_shows_what_was_when_the_engine_is_gone(lab, no_engine, card, files):
    cell = card_cell(notes=["Version 7 is still loading."])
    lab.open_notebook(write_notebook(files, "old.ipynb", cell))
    expect(card).to_contain_text("The engine does not run now")
    expect(card).to_contain_text("still loading")
    expect(card.locator("tr[data-version='7'] [data-label='production']")).to_be_visible()
    expect(card.locator("pre")).to_contain_text("'<b>'")
    lab.screenshot("card-stale")


def test_card_of_a_kernels_own_engine_says_that_it_is_not_followed(lab, serving, card, files):
    cell = card_cell(engine_name=None, owner="this kernel")
    lab.open_notebook(write_notebook(files, "own.ipynb", cell))
    expect(card).to_contain_text("This engine is kept by this kernel")


@pytest.mark.parametrize(
    "document",
    [{}, [], "text", {"models": [None, {"labels": [], "versions": "x"}]}, {"models": [], "notes": [1]}],
    ids=str,
)
def test_damaged_card_breaks_nothing(lab, no_engine, card, files, document):
    cell = card_cell()
    cell.outputs[0].data[CARD_MIME] = document
    lab.open_notebook(write_notebook(files, "damaged.ipynb", cell))
    expect(card).to_be_visible()
    expect(card.locator("p, section").first).to_be_visible()


def test_hostile_card_is_shown_as_text(lab, no_engine, card, files):
    hostile = "<img src=x onerror=alert(1)>"
    model = {"name": hostile, "labels": {hostile: 1}, "versions": [{"version": 1, "state": hostile}]}
    lab.open_notebook(
        write_notebook(files, "hostile.ipynb", card_cell(models=[model], notes=[hostile], owner=hostile))
    )
    expect(card).to_contain_text(hostile)
    assert card.locator("img").count() == 0


def test_notebook_7_has_the_sidebar_and_the_card(lab, serving, card, files):
    name = write_notebook(files, "seven.ipynb", card_cell())
    lab.open(f"notebooks/{name}", query="")
    expect(lab.page.locator(PANEL)).to_be_visible()
    expect(lab.chip("production", 1)).to_be_visible()
    expect(card.locator("[data-live='true']")).to_be_visible()
    lab.run("jupyter-tfserve:move-label", model="version", label="production", version=2)
    expect(lab.chip("production", 2)).to_be_visible()
    expect(card.locator("tr[data-version='2'] [data-label='production']")).to_be_visible()
    lab.screenshot("notebook7")


def test_missing_server_extension_is_named_with_its_fix_and_no_dialog(page, jupyter_url, lab):
    page.route("**/jupyter-tfserve/api/**", lambda route: route.fulfill(status=404, body="<html>404</html>"))
    lab.run("jupyter-tfserve:refresh")
    note = lab.panel.locator("[data-code='EXTENSION_MISSING']")
    expect(note).to_contain_text("Install jupyter_tfserve where the Jupyter server runs")
    expect(page.locator(".jp-tfserve-StatusItem")).to_have_text("Serving: unknown")
    expect(page.locator(".jp-Dialog, .Toastify__toast")).to_have_count(0)
    page.unroute("**/jupyter-tfserve/api/**")
    lab.action("retry").click()
    expect(note).to_have_count(0)


def test_other_api_level_is_a_note_and_no_refusal(page, lab, serving):
    def older(route):
        document = route.fetch().json()
        route.fulfill(body=json.dumps({**document, "api_level": 0}))

    page.route("**/jupyter-tfserve/api/status?*", older)
    lab.run("jupyter-tfserve:refresh")
    expect(lab.panel).to_contain_text("different versions of jupyter_tfserve")
    expect(lab.chip("production", 1)).to_be_visible()


def test_folder_is_served_from_notebook_7s_file_list(lab, no_engine):
    lab.open("tree", query="")
    lab.page.locator(".jp-DirListing-item[data-isdir='true']", has_text="saved_models").click(button="right")
    lab.page.locator(".lm-Menu-itemLabel", has_text="Serve the Models in This Folder").click()
    expect(lab.state(2, "AVAILABLE")).to_be_visible(timeout=90_000)
    lab.screenshot("notebook7-tree")


def test_card_of_a_magic_follows_the_engine(lab, serving, card, files, api):
    code = "%load_ext jupyter_tfserve\n%tfserve status"
    lab.open_notebook(write_notebook(files, "status.ipynb", nbformat.v4.new_code_cell(code)))
    lab.run("notebook:run-cell")
    expect(card.locator("tr[data-version='1'] [data-label='production']")).to_be_visible(timeout=30_000)
    expect(card.locator("[data-live='true']")).to_be_visible()
    api.put(f"{serving}/models/version/labels/production", json={"version": 2})
    expect(card.locator("tr[data-version='2'] [data-label='production']")).to_be_visible()


def ask_until(lab, api, figures):
    """Asks version 2 until its figures, which `figures` locates, show that."""

    def is_shown():
        assert api.post("v1/models/version/versions/2:predict", json={"instances": [[1.0]]}).is_success
        return figures.count() == 1 and float(figures.get_attribute("data-rate")) > 0

    lab.until(is_shown, 30)


def test_figures_are_seen_in_card_and_sidebar_and_outlive_kernel_and_page(lab, serving, card, files, api):
    name = write_notebook(files, "figures.ipynb", card_cell())
    lab.open_notebook(name)
    in_card = card.locator("tr[data-version='2'] .jp-tfserve-Figures")
    in_sidebar = lab.row(2).locator(".jp-tfserve-Figures")
    for figures in (in_card, in_sidebar):
        ask_until(lab, api, figures)
        for text in ("requests/s", "p50 ", "batch size 1 (at most ", "0 waiting", "on CPU", "memory"):
            expect(figures).to_contain_text(text)
        expect(figures.get_by_role("img")).to_have_accessible_name(
            re.compile("Requests a second in the last")
        )
    lab.screenshot("figures")
    lab.page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    ask_until(lab, api, in_card)
    lab.open()
    lab.open_notebook(name)
    ask_until(lab, api, in_card)


def test_figures_are_not_asked_for_when_nobody_can_see_them(lab, serving):
    expect(lab.row(2).locator(".jp-tfserve-Figures")).to_be_visible()
    with lab.page.expect_request("**/control/figures*"):
        pass
    lab.run("application:toggle-left-area")
    expect(lab.panel).to_be_hidden()
    # What was under way may still come.
    lab.run("jupyter-tfserve:refresh")
    with (
        pytest.raises(PlaywrightTimeoutError),
        lab.page.expect_request("**/control/figures*", timeout=4000),
    ):
        pass
    lab.run("application:toggle-left-area")
    with lab.page.expect_request("**/control/figures*"):
        pass
