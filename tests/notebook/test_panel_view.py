"""What a panel shows for a state and the person's choices: lists, fields, rows, plots, and text that stays text. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from jupyter_tfserve.notebook.events import Event
from jupyter_tfserve.notebook.panel import page
from jupyter_tfserve.notebook.panel.plans import LabelMove, Plan
from jupyter_tfserve.notebook.panel.plot import MAX_LINES, Line, plot_html
from jupyter_tfserve.notebook.panel.rows import MAX_ROWS, version_rows
from jupyter_tfserve.notebook.panel.snapshot import Problem, Snapshot
from jupyter_tfserve.notebook.panel.view import NEW_LABEL, TAKE_AWAY, Choices, chosen, view_of
from tests.notebook.panel_cases import NOW, model_state, snapshot_of

HOSTILE = "<img src=x onerror=alert(1)>'\"&"
MODEL = model_state(
    {3: "AVAILABLE", 4: "AVAILABLE", 5: "LOADING"}, {"production": 3}, {"latest": {"num_versions": 2}}
)
SNAPSHOT = snapshot_of(MODEL, rates={3: 41.2, 4: 2.0}, in_folder=(1, 3, 4, 5))


def view(choices=None, last_move=None, snapshot=SNAPSHOT):
    return view_of(snapshot, choices or Choices(), last_move)


def values(choice):
    return [value for _, value in choice.options]


def test_likely_choices_are_made_when_the_person_made_none():
    shown = view()
    assert shown.models.value == "prices"
    assert shown.labels.value == "production"
    # The newest version that is up and has not got the label.
    assert shown.targets.value == "4"
    assert shown.versions.value == "1"
    assert (shown.kind, shown.numbers) == ("latest", "2")
    assert shown.move == LabelMove("prices", "production", 4, 3)
    assert shown.apply.is_possible
    assert shown.load.is_possible
    assert not shown.unload.is_possible


def test_new_label_is_what_was_typed_when_that_is_chosen():
    shown = view(Choices(label=NEW_LABEL, new_label=" canary "))
    assert shown.move == LabelMove("prices", "canary", 4, None)
    assert TAKE_AWAY not in values(shown.targets)


def test_label_is_taken_away_when_that_is_chosen():
    shown = view(Choices(label="production", target=TAKE_AWAY))
    assert shown.move == LabelMove("prices", "production", None, 3)
    assert shown.apply.is_possible


def test_choice_falls_back_when_it_is_gone():
    shown = view(Choices(label="gone", target="99", version="99"))
    assert shown.labels.value == "production"
    assert shown.targets.value == "4"


def test_panel_stays_with_its_model_when_that_is_not_served_any_more():
    shown = view(Choices(model="closed"))
    assert shown.models.value == "closed"
    assert values(shown.models) == ["prices", "closed"]
    assert "closed is not served" in shown.apply.refusal
    assert page.table_html(shown.model, shown.rows) == ""


def test_panel_names_the_first_step_when_nothing_is_served():
    for snapshot in (Snapshot(), snapshot_of()):
        shown = view(snapshot=snapshot)
        assert "%tfserve start" in page.plan_html(shown.apply)
        assert not shown.rollback.is_possible


def test_model_without_versions_says_why_when_shown():
    empty = model_state({}, {}, {"latest": {"num_versions": 1}}, problem="The folder holds <no> version.")
    shown = view(snapshot=snapshot_of(empty))
    assert "The folder holds &lt;no&gt; version." in page.table_html(shown.model, shown.rows)
    assert "&lt;no&gt;" in page.plan_html(shown.apply)


def test_choice_resets_what_hangs_on_it_when_made():
    before = Choices(model="a", label="x", target="3", kind="specific", numbers="1 2", new_label="y")
    assert chosen(before, "label", "z").target is None
    assert chosen(before, "kind", "latest").numbers is None
    assert chosen(before, "model", "b") == Choices(model="b", new_label="y")
    assert chosen(before, "numbers", "7").kind == "specific"


@pytest.mark.parametrize(("kind", "numbers"), [("latest", "2"), ("all", ""), ("specific", "3 4")])
def test_policy_fields_have_likely_numbers_when_the_kind_is_chosen(kind, numbers):
    shown = view(Choices(kind=kind))
    assert (shown.kind, shown.numbers) == (kind, numbers)


def test_rows_show_figures_of_what_serves_and_the_rest_of_the_folder():
    rows = {row.version: row for row in version_rows(MODEL, SNAPSHOT).rows}
    assert list(rows) == [5, 4, 3, 1]
    assert (rows[3].rate, rows[3].memory, rows[3].size, rows[3].age) == ("41.2", "24 MB", "1.2 kB", "1 min")
    assert rows[3].labels == ("production",)
    assert (rows[1].state, rows[1].rate) == ("not served", "")
    assert rows[5].state == "LOADING"


def test_rows_are_bounded_and_keep_what_serves_when_the_folder_holds_thousands():
    served = model_state({1: "AVAILABLE"}, {}, {"specific": {"versions": [1]}})
    rows = version_rows(served, snapshot_of(served, in_folder=tuple(range(1, 5001))))
    assert len(rows.rows) == MAX_ROWS
    assert rows.rows[0].version == 5000
    assert rows.rows[-1].version == 1
    assert rows.left_out == 5000 - MAX_ROWS
    assert "4970 older versions are not shown" in page.table_html(served, rows)


class Tags(HTMLParser):
    """The elements and the attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attributes)


def test_hostile_names_stay_text_wherever_they_are_shown():
    model = model_state({3: "AVAILABLE", 4: HOSTILE}, {HOSTILE: 3}, {"all": {}}, HOSTILE, problem=HOSTILE)
    events = (Event(NOW, "label", HOSTILE, 3, f"{HOSTILE} -> 3"),)
    snapshot = snapshot_of(model, rates={3: 1.0}, events=events, problem=Problem(HOSTILE, HOSTILE))
    shown = view(snapshot=snapshot)
    parts = (
        page.heading_html(shown, snapshot),
        page.problem_html(snapshot.problem),
        page.note_html("failed", HOSTILE, HOSTILE),
        page.table_html(shown.model, shown.rows),
        page.plots_html(shown, snapshot),
        page.plan_html(shown.apply),
        page.plan_html(Plan((HOSTILE,))),
        page.policy_html(Plan(refusal=HOSTILE, hint=HOSTILE), Plan((HOSTILE,))),
        page.log_html(HOSTILE),
        page.history_html(events, HOSTILE),
    )
    seen = Tags("".join(parts))
    assert "img" not in seen.tags
    assert "onerror" not in seen.attributes
    assert "".join(parts).count("&lt;img src=x") >= 10


def test_history_is_the_models_own_and_the_servers():
    events = (
        Event(NOW, "load", "prices", 4, ""),
        Event(NOW, "load", "other", 1, "elsewhere"),
        Event(NOW, "config", "", None, "serve prices"),
    )
    shown = page.history_html(events, "prices")
    assert "load version 4" in shown
    assert "serve prices" in shown
    assert "elsewhere" not in shown
    assert "Nothing has happened" in page.history_html((), "prices")


def paths(html):
    """The drawn lines, without those of the legend."""
    return re.findall(r"<path class='line line\d' d='([^']*)'/>(?!</svg> )", html)


def test_plot_has_a_line_for_each_version_and_the_same_in_words():
    lines = [
        Line(4, ((NOW - 30, 10.0), (NOW, 20.0))),
        Line(3, ((NOW - 30, 0.0), (NOW, 5.0))),
    ]
    html = plot_html("Requests per second", lines, lambda value: f"{value:g}/s", NOW, 60.0)
    assert "aria-label='Requests per second in the last 60 seconds: version 4 20/s, version 3 5/s.'" in html
    assert len(paths(html)) == 2
    # The axis ends where the highest value lies; half a minute is the middle.
    assert paths(html)[0] == "M169.0 41.0h0L294.0 8.0"


def test_plot_is_broken_where_a_value_is_missing_or_old():
    line = Line(1, ((NOW - 90, 1.0), (NOW - 30, None), (NOW - 20, 1.0), (NOW - 10, None), (NOW, 1.0)))
    (path,) = paths(plot_html("p99", [line], str, NOW, 60.0))
    assert path.count("M") == 2
    assert "L" not in path


def test_plot_names_how_many_it_leaves_out_and_says_when_nothing_serves():
    html = plot_html("p99", [Line(number, ()) for number in range(6)], str, NOW, 60.0)
    assert "2 more versions" in html
    assert paths(html) == []
    assert "no version serves" in plot_html("p99", [], str, NOW, 60.0)


@pytest.mark.parametrize(
    ("highest", "top"), [(0.03, "0.05"), (0.9, "1"), (1.0, "1"), (3, "5"), (60, "100"), (0, "1")]
)
def test_axis_ends_at_a_round_number_when_drawn(highest, top):
    html = plot_html("p99", [Line(1, ((NOW, float(highest)),))], lambda value: f"{value:g}", NOW, 60.0)
    assert f"text-anchor='end'>{top}</text>" in html


def test_plots_have_the_busiest_versions_in_a_steady_order_when_there_are_many():
    model = model_state(dict.fromkeys(range(1, 7), "AVAILABLE"), {}, {"all": {}})
    rates = {1: 5.0, 2: 1.0, 3: 9.0, 4: 0.0, 5: 2.0, 6: 0.5}
    drawn = [version for version, _ in view(snapshot=snapshot_of(model, rates=rates)).figures]
    assert drawn == [5, 3, 2, 1, 6, 4]
    assert len(drawn[:MAX_LINES]) == 4


def test_table_shows_device_batches_and_what_waits_when_a_version_serves():
    text = page.table_html(MODEL, view().rows)
    (row,) = re.findall(r"<tr data-version='4'>(.*?)</tr>", text)
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
    assert dict(zip(page.HEADS, cells, strict=True)) | {"State": ""} == {
        "Version": "4",
        "State": "",
        "Labels": "",
        "Device": "CPU",
        "Size": "1.2 kB",
        "Memory": "24 MB",
        "Requests/s": "2",
        "p99": "",
        "Rows/batch": "5.2 of 64",
        "Waiting": "3",
        "Age": "1 min",
    }


def test_row_says_how_long_it_has_been_loading_and_why_again():
    state = replace(MODEL.versions[0], changing_since=NOW - 12, last_error="Attempt 1 of 6: <no>")
    model = replace(MODEL, versions=(state,))
    text = page.table_html(model, version_rows(model, snapshot_of(model)))
    assert "LOADING<p>for 12 s; Attempt 1 of 6: &lt;no&gt;</p>" in text


def test_silence_is_another_text_each_time_so_that_its_wait_starts_anew():
    assert page.silence_html(1.0) != page.silence_html(2.0)
    assert "run this cell again" in page.silence_html(1.0)
