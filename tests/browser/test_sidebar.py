"""The sidebar in JupyterLab: serve a folder, move a label, undo, follow others, stop; failures that help."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

pytest.importorskip("playwright", reason="the browser tests need the package playwright")
from playwright.sync_api import expect

HOSTILE = "<img src=x onerror=alert(1)>"


def answered_version(api, target="version/labels/production"):
    answer = api.post(f"v1/models/{target}:predict", json={"instances": [[1.0]]})
    return answer.json()["predictions"][0]["version"]


def choose_version(lab, version):
    lab.panel.locator("select[name='version']").select_option(str(version))


def clipboard(page):
    return page.evaluate("navigator.clipboard.readText()")


def test_folder_is_served_when_its_path_is_given(lab, no_engine):
    expect(lab.panel).to_contain_text("Nothing is served")
    lab.screenshot("sidebar-empty")
    lab.action("start").click()
    lab.panel.locator("input[name='path']").fill("saved_models")
    lab.action("serve").click()
    expect(lab.state(2, "AVAILABLE")).to_be_visible(timeout=90_000)
    expect(lab.panel.locator("input[name='path']")).to_have_count(0)
    expect(lab.page.locator(".jp-tfserve-StatusItem")).to_have_text("Serving: 1 model")
    lab.screenshot("sidebar-serving")


def test_folder_is_served_when_chosen_in_the_file_browsers_menu(lab, no_engine):
    lab.run("filebrowser:activate")
    lab.page.locator(".jp-DirListing-item[data-isdir='true']", has_text="saved_models").click(button="right")
    lab.page.locator(".lm-Menu-itemLabel", has_text="Serve the Models in This Folder").click()
    expect(lab.state(2, "AVAILABLE")).to_be_visible(timeout=90_000)


def test_folder_without_a_model_says_why_and_what_to_do(lab, no_engine):
    lab.run("jupyter-tfserve:serve", path="empty_folder")
    note = lab.panel.locator(".jp-tfserve-Note.jp-mod-failure")
    expect(note).to_contain_text("No SavedModel found")
    expect(note.locator(".jp-tfserve-hint")).to_contain_text("my_model/1/saved_model.pb")
    expect(lab.page.locator(".jp-Dialog")).to_have_count(0)
    lab.screenshot("sidebar-failure")


def test_broken_version_shows_its_reason(lab, no_engine):
    lab.run("jupyter-tfserve:serve", path="broken")
    reason = lab.row(1, "broken").locator(".jp-tfserve-reason")
    expect(reason).not_to_be_empty(timeout=90_000)
    expect(lab.row(1, "broken").locator(".jp-tfserve-hint")).to_contain_text("as a new version")
    lab.screenshot("sidebar-broken")


def test_label_moves_after_a_preview_and_comes_back_by_undo(lab, serving, api):
    expect(lab.chip("production", 1)).to_be_visible()
    lab.chip("production", 1).click()
    choose_version(lab, 2)
    preview = lab.panel.locator(".jp-tfserve-Preview")
    expect(preview).to_contain_text("/v1/models/version/labels/production gets version 2 instead of 1")
    lab.screenshot("sidebar-preview")
    assert answered_version(api) == 1
    lab.action("apply-label").click()
    expect(lab.chip("production", 2)).to_be_visible()
    assert answered_version(api) == 2
    lab.screenshot("sidebar-moved")
    lab.action("undo").click()
    expect(lab.chip("production", 1)).to_be_visible()
    expect(lab.action("undo")).to_have_count(0)
    assert answered_version(api) == 1


def test_new_label_is_made_and_removed(lab, serving, api):
    lab.action("move-label").click()
    lab.panel.locator("select[name='label']").select_option("")
    lab.panel.locator("input[name='new-label']").fill("canary")
    choose_version(lab, 2)
    lab.action("apply-label").click()
    expect(lab.chip("canary", 2)).to_be_visible()
    assert answered_version(api, "version/labels/canary") == 2
    lab.chip("canary", 2).click()
    lab.action("remove-label").click()
    expect(lab.panel.locator("[data-label='canary']")).to_have_count(0)


def test_label_moves_when_its_chip_is_dropped_on_a_version(lab, serving):
    lab.chip("production", 1).drag_to(lab.row(2))
    expect(lab.panel.locator("select[name='version']")).to_have_value("2")
    lab.action("apply-label").click()
    expect(lab.chip("production", 2)).to_be_visible()


def test_undo_is_not_offered_when_somebody_else_moved_the_label(lab, serving, api):
    lab.run("jupyter-tfserve:move-label", model="version", label="production", version=2)
    expect(lab.action("undo")).to_be_visible()
    assert api.put(f"{serving}/models/version/labels/production", json={"version": 1}).status_code == 200
    expect(lab.chip("production", 1)).to_be_visible()
    expect(lab.action("undo")).to_have_count(0)


def test_label_is_moved_by_keyboard_alone(lab, serving):
    page = lab.page
    lab.chip("production", 1).focus()
    page.keyboard.press("Enter")
    expect(lab.panel.locator("select[name='label']")).to_be_focused()
    page.keyboard.press("Escape")
    expect(lab.panel.locator("select[name='label']")).to_have_count(0)
    expect(lab.action("move-label")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(lab.panel.locator("select[name='version']")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(lab.panel.locator("select[name='version']")).to_have_value("2")
    page.keyboard.press("Tab")
    expect(lab.action("apply-label")).to_be_focused()
    page.keyboard.press("Enter")
    expect(lab.chip("production", 2)).to_be_visible()
    expect(lab.panel.locator("[aria-live='polite']")).to_contain_text("production")


def test_policy_decides_which_versions_are_served(lab, serving):
    policy = lab.model().locator("select[name='policy']")
    expect(policy).to_have_value('{"all":{}}')
    lab.run("jupyter-tfserve:move-label", model="version", label="production", version=2)
    expect(lab.chip("production", 2)).to_be_visible()
    policy.select_option(label="the latest version")
    expect(lab.state(1, "END").or_(lab.state(1, "UNLOADING"))).to_be_visible()


def test_copied_curl_line_works_in_a_shell(lab, serving):
    lab.action("copy-curl").click()
    expect(lab.panel.locator(".jp-tfserve-Copied pre")).to_contain_text("curl -d")
    line = clipboard(lab.page)
    assert line == lab.panel.locator(".jp-tfserve-Copied pre").inner_text()
    done = subprocess.run(
        ["sh", "-c", f"{line} -s --noproxy '*'"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["predictions"][0]["version"] == 2


def test_copied_program_asks_the_model(lab, serving):
    lab.panel.locator("select[name='program']").select_option("python")
    expect(lab.panel.locator(".jp-tfserve-Copied pre")).to_contain_text("import requests")
    done = subprocess.run(
        [sys.executable, "-c", clipboard(lab.page)], capture_output=True, text=True, check=True
    )
    assert "'version': 2" in done.stdout.replace('"', "'")


def test_curl_line_through_jupyter_works_with_its_token(lab, serving, jupyter_url):
    lab.action("copy-curl-jupyter").click()
    expect(lab.panel.locator(".jp-tfserve-Copied pre")).to_contain_text("JUPYTER_TOKEN")
    line = clipboard(lab.page)
    assert "hush" not in line
    assert f"{jupyter_url}jupyter-tfserve/v1/models/version:predict" in line
    command = ["sh", "-c", f"JUPYTER_TOKEN=hush; {line} -s --noproxy '*'"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["version"] == 2


def test_hostile_label_is_shown_as_text(lab, serving, page):
    def labelled(route):
        # An engine of ours takes no such label; one that was not ours could say so.
        document = route.fetch().json()
        document["models"][0]["labels"][HOSTILE] = 2
        route.fulfill(body=json.dumps(document))

    page.route("**/control/state?*", labelled)
    lab.run("jupyter-tfserve:refresh")
    chip = lab.row(2).locator(".jp-tfserve-Chip")
    expect(chip).to_have_text(HOSTILE)
    assert lab.panel.locator("img").count() == 0
    # One that is being answered just now may be: the next test's requests are none of it.
    page.unroute_all(behavior="wait")


def test_log_and_history_are_shown(lab, serving):
    lab.action("history").click()
    history = lab.panel.locator(".jp-tfserve-History")
    expect(history).to_contain_text("label")
    lab.action("log").click()
    expect(lab.panel.locator(".jp-tfserve-Log pre")).not_to_be_empty()
    expect(history).to_have_count(0)
    lab.screenshot("sidebar-log")


def test_engine_is_restarted_and_stopped_after_a_question(lab, serving, api):
    before = api.get("api/engines/default").json()["pid"]
    lab.action("restart").click()
    lab.action("confirm-restart").click()
    lab.until(lambda: api.get("api/engines/default").json()["pid"] not in (None, before))
    expect(lab.panel.locator(".jp-tfserve-Busy")).to_have_count(0, timeout=90_000)
    expect(lab.chip("production", 1)).to_be_visible(timeout=90_000)
    expect(lab.state(2, "AVAILABLE")).to_be_visible(timeout=90_000)
    lab.action("stop").click()
    expect(lab.action("confirm-stop")).to_be_focused()
    assert api.get("api/status").json()["engines"]
    lab.screenshot("sidebar-stop")
    lab.action("confirm-stop").click()
    expect(lab.panel).to_contain_text("Nothing is served")
    assert api.get("api/status").json()["engines"] == []


def test_engine_is_listed_among_what_runs(lab, serving):
    lab.run("running:show-panel")
    item = lab.page.locator(".jp-RunningSessions-item", has_text="Engine default")
    expect(item).to_be_visible()
    lab.screenshot("running")


def test_commands_are_in_the_palette_and_the_launcher(lab, no_engine):
    expect(lab.page.locator(".jp-LauncherCard", has_text="Model Serving")).to_be_visible()
    lab.run("apputils:activate-command-palette")
    lab.page.locator(".lm-CommandPalette-input").fill("Model Serving")
    expect(lab.page.locator(".lm-CommandPalette-itemLabel", has_text="Serve a Folder")).to_be_visible()


def test_sidebar_is_readable_in_the_dark_theme(lab, serving):
    expect(lab.state(2, "AVAILABLE")).to_be_visible()
    lab.chip("production", 1).click()
    background = "getComputedStyle(document.querySelector('#jupyter-tfserve-panel')).backgroundColor"
    light = lab.page.evaluate(background)
    lab.run("apputils:change-theme", theme="JupyterLab Dark")
    lab.page.wait_for_function(f"{background} !== '{light}'")
    expect(lab.page.locator("#jupyterlab-splash")).to_have_count(0)
    lab.screenshot("sidebar-dark")
    lab.run("apputils:change-theme", theme="JupyterLab Light")
    lab.page.wait_for_function(f"{background} === '{light}'")


def test_status_item_hides_when_the_setting_says_so(lab, no_engine):
    item = lab.page.locator(".jp-tfserve-StatusItem")
    expect(item).to_have_text("Serving: off")
    lab.run("settingeditor:open")
    lab.page.locator(".jp-PluginList-entry", has_text="Model Serving").click()
    box = lab.page.locator("label", has_text="Show the state of serving").locator("input")
    box.uncheck()
    expect(item).to_be_hidden()
    box.check()
    expect(item).to_be_visible()


def test_loading_version_shows_how_long_and_why_it_is_tried_again(lab, serving, page):
    def loading(route):
        document = route.fetch().json()
        document["models"][0]["versions"][0] |= {
            "state": "LOADING",
            "changing_since": time.time() - 75,
            "last_error": "Attempt 1 of 6 to load failed: no graph",
        }
        route.fulfill(body=json.dumps(document))

    page.route("**/control/state?*", loading)
    lab.run("jupyter-tfserve:refresh")
    expect(lab.row(2)).to_contain_text("LOADINGfor 1 min")
    expect(lab.row(2).locator(".jp-tfserve-reason")).to_have_text("Attempt 1 of 6 to load failed: no graph")
    lab.screenshot("sidebar-loading")
    page.unroute_all(behavior="wait")


def test_models_are_a_line_each_when_there_are_many(lab, serving, page):
    def many(route):
        document = route.fetch().json()
        (model,) = document["models"]
        ended = {
            **model["versions"][0],
            "state": "END",
            "error_code": "DATA_LOSS",
            "error_message": "no graph",
        }
        broken = {**model, "name": "broken", "labels": {}, "versions": [ended]}
        document["models"] = [model, broken, *({**model, "name": f"m{number}" * 20} for number in range(3))]
        route.fulfill(body=json.dumps(document))

    page.route("**/control/state?*", many)
    # A fresh page: what was open before stays so.
    lab.open()
    expect(lab.panel.locator(".jp-tfserve-Model")).to_have_count(5)
    expect(lab.panel.locator(".jp-tfserve-Versions")).to_have_count(0)
    expect(lab.model("version")).to_contain_text("AVAILABLEv2, v1production: 1")
    expect(lab.model("broken").locator("[data-state='failed']")).to_be_visible()
    lab.screenshot("sidebar-many")
    lab.model("version").locator("summary").press("Enter")
    expect(lab.chip("production", 1)).to_be_visible()
    page.unroute_all(behavior="wait")
