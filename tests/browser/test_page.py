"""The page without JupyterLab, in a browser: a person looks, asks, reads the answer and copies a program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import expect

from tests.browser.conftest import TOKEN, missing
from tests.browser.test_accessibility import AXE, FAULTS

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"

HOSTILE_DOCUMENT = {
    "paths": {
        "/models/m:predict": {
            "post": {
                "operationId": "predict",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"anyOf": [{"title": HOSTILE}]},
                            "examples": {HOSTILE: {"value": {"instances": [HOSTILE]}}},
                        }
                    }
                },
            }
        }
    }
}


@pytest.fixture
def opened(page, jupyter_url, serving):
    """The page, showing the models; anything that its policy blocks is a failure."""
    blocked = []
    page.on("console", lambda message: blocked.append(message.text) if "Policy" in message.text else None)
    page.goto(f"{jupyter_url}jupyter-tfserve/?token={TOKEN}")
    expect(page.locator("table[data-model='version']")).to_be_visible()
    expect(page.locator("#body")).not_to_have_value("")
    expect(page.locator("#snippet")).not_to_be_empty()
    # A token in the address bar would go where the address is copied to.
    assert page.url == f"{jupyter_url}jupyter-tfserve/"
    yield page
    assert blocked == []


def screenshot(page, name):
    folder = os.environ.get("TFSERVE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_person_asks_a_model_and_takes_the_program_along(opened, jupyter_url):
    page = opened
    expect(page.locator("tr[data-version='1'] .label")).to_have_text("production")
    page.get_by_role("button", name="Ask version version 1").click()
    expect(page.locator("#body")).to_be_focused()
    page.locator("#version").select_option("labels/production")
    page.get_by_label("Body, JSON").fill('{"instances": [[1.0], [2.0]]}')
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#outcome")).to_contain_text("OK")
    predictions = json.loads(page.locator("#answer").inner_text())["predictions"]
    assert [row["version"] for row in predictions] == [1, 1]
    expect(page.locator("#snippet")).to_contain_text("[[1.0], [2.0]]")
    page.locator("#language").select_option("grpc")
    expect(page.locator("#snippet")).to_contain_text("version_label = 'production'")
    page.locator("#language").select_option("bash")
    expect(page.locator("#snippet")).to_contain_text(
        f"{jupyter_url}jupyter-tfserve/v1/models/version/labels/production:predict"
    )
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#copied")).to_have_text("Copied.")
    line = page.evaluate("navigator.clipboard.readText()")
    assert TOKEN not in line
    if shutil.which("curl"):
        environment = {"PATH": os.environ["PATH"], "JUPYTER_TOKEN": TOKEN, "no_proxy": "127.0.0.1"}
        done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, env=environment)
        assert json.loads(done.stdout)["predictions"] == predictions
    screenshot(page, "page-light")


def test_figures_and_loads_are_followed_while_the_tables_stay(opened, api):
    page = opened
    cell = page.locator("tr[data-version='2'] .figures")
    button = page.get_by_role("button", name="Ask version version 2")
    button.focus()
    while "requests/s" not in cell.inner_text():
        assert api.post("v1/models/version/versions/2:predict", json={"instances": [[1.0]]}).is_success
        page.wait_for_timeout(50)
    for text in ("p99 ", "batch size 1 (at most ", "0 waiting", "on CPU", "memory"):
        expect(cell).to_contain_text(text)
    expect(button).to_be_focused()

    def loading(route):
        document = route.fetch().json()
        document["models"][0]["versions"][0] |= {
            "state": "LOADING",
            "changing_since": time.time() - 75,
            "last_error": "no graph",
        }
        route.fulfill(body=json.dumps(document))

    page.route("**/control/state", loading)
    expect(page.locator("tr[data-version='2']")).to_contain_text("LOADING for 1 min")
    expect(page.locator("tr[data-version='2'] .problem")).to_have_text("no graph")
    screenshot(page, "page-loading")
    page.unroute_all(behavior="wait")


def test_models_are_a_line_each_when_there_are_many_and_stay_open(opened):
    page = opened

    def many(route):
        document = route.fetch().json()
        (model,) = document["models"]
        document["models"] = [{**model, "name": f"m{number}" * 20} for number in range(4)]
        route.fulfill(body=json.dumps(document))

    page.route("**/control/state", many)
    expect(page.locator("#engines details")).to_have_count(4)
    expect(page.locator("#engines table").first).to_be_hidden()
    page.locator("summary").first.click()
    expect(page.locator("#engines table").first).to_be_visible()
    page.set_viewport_size({"width": 420, "height": 900})
    screenshot(page, "page-narrow")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Another state draws it all anew: what was opened stays so.
    page.unroute("**/control/state")
    expect(page.locator("#engines details")).to_have_count(0)
    page.route("**/control/state", many)
    expect(page.locator("#engines table").first).to_be_visible()
    expect(page.locator("#engines table").nth(1)).to_be_hidden()
    page.unroute_all(behavior="wait")


def test_choice_counts_at_once_when_its_document_is_late(page, jupyter_url, serving):
    """What is chosen is asked, and what was typed stays, before the choice's document has come and after."""
    held = []
    page.route("**/openapi.json", lambda route: held.append(route) if held else route.continue_())
    page.goto(f"{jupyter_url}jupyter-tfserve/?token={TOKEN}")
    expect(page.locator("#body")).not_to_have_value("")
    held.append(None)
    page.locator("#version").select_option("labels/production")
    page.get_by_label("Body, JSON").fill('{"instances": [[7.0]]}')
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#outcome")).to_contain_text("OK")
    (row,) = json.loads(page.locator("#answer").inner_text())["predictions"]
    assert row["version"] == 1
    expect(page.locator("#snippet")).to_contain_text("labels/production:predict")
    for route in held[1:]:
        route.continue_()
    expect(page.locator("#openapi")).to_have_attribute(
        "href", "v1/models/version/labels/production/openapi.json"
    )
    expect(page.locator("#body")).to_have_value('{"instances": [[7.0]]}')


def test_refusal_is_shown_with_its_reason(opened):
    opened.get_by_label("Body, JSON").fill('{"instances": "no"}')
    opened.get_by_role("button", name="Send").click()
    expect(opened.locator("#outcome")).to_contain_text("Refused, status 400")
    expect(opened.locator("#answer")).to_contain_text("error")
    opened.get_by_role("button", name="Fill in the example again").click()
    opened.get_by_role("button", name="Send").click()
    expect(opened.locator("#outcome")).to_contain_text("OK")


def test_page_follows_what_is_served(opened, api, serving):
    opened.get_by_label("Body, JSON").fill('{"instances": [[7.0]]}')
    assert api.put(f"{serving}/models/version/labels/production", json={"version": 2}).status_code == 200
    expect(opened.locator("tr[data-version='2'] .label")).to_have_text("production")
    expect(opened.locator("#body")).to_have_value('{"instances": [[7.0]]}')


def test_names_are_text_when_they_look_like_markup(page, jupyter_url, serving):
    """What the engine would refuse, as another engine or a broken one might send it."""
    broken = {"version": 2, "state": HOSTILE, "error_message": HOSTILE}
    model = {
        "name": HOSTILE,
        "labels": {HOSTILE: 1},
        "problem": HOSTILE,
        "versions": [{"version": 1, "state": "AVAILABLE", "error_message": ""}, broken],
    }
    page.route("**/control/state", lambda route: route.fulfill(json={"models": [model]}))
    page.route("**/openapi.json", lambda route: route.fulfill(json=HOSTILE_DOCUMENT))
    page.route("**:predict", lambda route: route.fulfill(body=HOSTILE))
    page.goto(f"{jupyter_url}jupyter-tfserve/?token={TOKEN}")
    expect(page.locator("caption")).to_have_text(HOSTILE)
    expect(page.locator(".label")).to_have_text(HOSTILE)
    page.locator("#version").select_option(f"labels/{HOSTILE}")
    page.locator("#request").select_option(f"predict: {HOSTILE}")
    expect(page.locator("#snippet")).to_contain_text("<img")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#answer")).to_have_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.title() == "Model serving"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_has_no_accessibility_fault(opened, scheme):
    if not AXE.exists():
        missing("needs `npm ci` in labextension/")
    opened.emulate_media(color_scheme=scheme)
    opened.get_by_role("button", name="Send").click()
    expect(opened.locator("#outcome")).to_contain_text("OK")
    # Not as a script of the page: its policy would refuse that.
    opened.evaluate(AXE.read_text())
    screenshot(opened, f"page-axe-{scheme}")
    assert opened.evaluate(FAULTS, "body") == []


def test_page_says_what_to_do_when_nothing_is_served(page, jupyter_url, no_engine):
    page.goto(f"{jupyter_url}jupyter-tfserve/?token={TOKEN}")
    expect(page.locator("#summary")).to_contain_text("%tfserve start")
    expect(page.locator("#ask-section")).to_be_hidden()
