"""The panel's HTML: every name and message is escaped, colours are the theme's. Pure.

Without JupyterLab's variables the page's own colours are inherited.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.notebook.events import Event
from jupyter_tfserve.notebook.figure_view import show_ms, show_rate
from jupyter_tfserve.notebook.panel.plans import Plan
from jupyter_tfserve.notebook.panel.plot import latency_lines, plot_html, rate_lines
from jupyter_tfserve.notebook.panel.rows import FAILED_HINT, Row, Rows
from jupyter_tfserve.notebook.panel.snapshot import Problem, Snapshot
from jupyter_tfserve.notebook.panel.view import View
from jupyter_tfserve.notebook.placement import describe_policy
from jupyter_tfserve.notebook.views import NO_VERSION

ROOT_CLASS: Final = "jp-tfserve-WidgetPanel"
MAX_EVENTS: Final = 12
SILENCE_S: Final = 10
SILENT: Final = "No news from the kernel: what is shown may be old, and the buttons do nothing."
SILENT_HINT: Final = (
    "If it was restarted or shut down, run this cell again for a new panel. The sidebar needs no kernel."
)
HEADS: Final = (
    "Version",
    "State",
    "Labels",
    "Device",
    "Size",
    "Memory",
    "Requests/s",
    "p99",
    "Rows/batch",
    "Waiting",
    "Age",
)
TEXT_HEADS: Final = HEADS[:4]
EXPLAINED: Final = {
    "p99": "99 of 100 requests of the last minute were answered within this time",
    "Rows/batch": "In the last minute, of the most that a batch may have now",
    "Waiting": "Requests that wait for the model now",
}

STYLE: Final = """
.R { border: 1px solid var(--jp-border-color1, #9995); border-radius: 4px; padding: 8px 12px; max-width: 860px; }
.R .widget-html-content { line-height: 1.45; color: var(--jp-ui-font-color1, inherit);
  font-size: var(--jp-ui-font-size1, 13px); font-family: var(--jp-ui-font-family, inherit); }
.R .widget-html, .R .widget-html-content { height: auto; overflow-wrap: anywhere; }
.R table { width: 100%; border-collapse: collapse; margin: 4px 0; font-size: inherit; }
.R caption { text-align: left; font-weight: 600; padding-bottom: 2px; color: inherit; }
.R :is(th, td) { text-align: left; padding: 2px 10px 2px 0; vertical-align: top; white-space: normal;
  background: none; max-width: none; border: none; }
.R :is(th, td).n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.R tbody tr { border-top: 1px solid var(--jp-border-color2, #9994); background: none; }
.R thead th { font-weight: 600; white-space: nowrap; }
.R .chip { border: 1px solid var(--jp-brand-color1, currentColor); border-radius: 10px; padding: 0 7px; }
.R .dot { display: inline-block; width: 9px; height: 9px; margin-right: 5px; border-radius: 50%;
  background: var(--jp-ui-font-color3, #999); }
.R .dot.up { background: var(--jp-success-color1, #388e3c); }
.R .dot.moving { background: var(--jp-warn-color1, #f57c00); }
.R .dot.failed { background: var(--jp-error-color1, #d32f2f); border-radius: 0; }
.R .note { border-left: 3px solid var(--jp-border-color1, #999); padding: 1px 8px; margin: 2px 0; }
.R .note.plan { border-color: var(--jp-brand-color1, #1976d2); }
.R .note.done { border-color: var(--jp-success-color1, #388e3c); }
.R .note.failed { border-color: var(--jp-error-color1, #d32f2f); }
.R p { margin: 0; }
.R .silence { visibility: hidden; max-height: 0; overflow: hidden; margin: 0;
  animation: jp-tfserve-silence 0s linear SILENCE_S forwards; }
@keyframes jp-tfserve-silence { to { visibility: visible; max-height: none; } }
.R.jupyter-widgets-disconnected .silence { visibility: visible; max-height: none; animation: none; }
.R.jupyter-widgets-disconnected :is(button, select, input) { opacity: 0.5; pointer-events: none; }
.R.jupyter-widgets-disconnected::before, .R .jupyter-widgets-disconnected::before { display: none; }
.R .plots { display: flex; flex-wrap: wrap; gap: 4px 24px; }
.R figure { margin: 0; flex: 1 1 280px; max-width: 360px; }
.R figure > svg { width: 100%; height: auto; display: block; }
.R figcaption { font-weight: 600; }
.R figure ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 14px; }
.R li svg { width: 24px; height: 6px; vertical-align: middle; }
.R svg text { font-size: 10px; fill: currentColor; }
.R .axis { fill: none; stroke: currentColor; stroke-opacity: 0.35; }
.R .line { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.R .line0 { stroke: var(--jp-brand-color1, #1976d2); }
.R .line1 { stroke: var(--jp-warn-color1, #f57c00); stroke-dasharray: 6 3; }
.R .line2 { stroke: var(--jp-success-color1, #388e3c); stroke-dasharray: 2 3; }
.R .line3 { stroke: var(--jp-error-color1, #d32f2f); stroke-dasharray: 8 3 2 3; }
.R pre { margin: 0; white-space: pre-wrap; font-size: var(--jp-code-font-size, 12px); color: inherit; }
.R :focus-visible { outline: 2px solid var(--jp-brand-color1, currentColor); outline-offset: 1px; }
""".replace(".R", f".{ROOT_CLASS}").replace("SILENCE_S", f"{SILENCE_S}s")


def heading_html(view: View, snapshot: Snapshot) -> str:
    """The model, what is served of it, and where."""
    title = "<strong>TensorFlow model server</strong>"
    if view.model is not None:
        policy = escape(describe_policy(view.model.policy))
        title = f"<strong>{escape(view.model.name)}</strong> &nbsp; versions: {policy}"
    return f"<p>{title}</p><p>{_addresses(snapshot)}</p>"


def problem_html(problem: Problem | None) -> str:
    """Why the panel cannot follow the engine; empty when it does."""
    return "" if problem is None else note_html("failed", problem.message, problem.hint)


def silence_html(time: float) -> str:
    """What shows itself when no newer one replaces it in time: a panel without its kernel cannot say so any more.

    `time` makes each one another, so that the front end starts anew.
    """
    text = f"<p>{SILENT}</p><p>{SILENT_HINT}</p>"
    return f"<div class='note failed silence' role='status' data-time='{time:.1f}'>{text}</div>"


def note_html(kind: str, text: str, hint: str = "") -> str:
    """One message and its next step, read out when it appears. `kind`: plan, done or failed."""
    role = "alert" if kind == "failed" else "status"
    second = f"<p>{escape(hint)}</p>" if hint else ""
    return f"<div class='note {kind}' role='{role}'><p>{escape(text)}</p>{second}</div>"


def table_html(model: ModelState | None, rows: Rows) -> str:
    """The versions with their figures."""
    if model is None:
        return ""
    heads = "".join(_head_html(head) for head in HEADS)
    body = "".join(_row_html(row) for row in rows.rows)
    empty = f"<tr><td colspan='{len(HEADS)}'>{escape(model.problem or NO_VERSION)}</td></tr>"
    more = f"<p>{rows.left_out} older versions are not shown.</p>" if rows.left_out else ""
    return (
        f"<table><caption>Versions of {escape(model.name)}</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body or empty}</tbody></table>{more}"
    )


def plots_html(view: View, snapshot: Snapshot) -> str:
    """Throughput and latency of the last minute, if anything serves."""
    if not view.figures:
        return ""
    span_s = snapshot.figures.window_s
    rates = plot_html(
        "Requests per second",
        rate_lines(view.figures),
        lambda value: f"{show_rate(value)}/s",
        snapshot.time,
        span_s,
    )
    latencies = plot_html("Latency, p99", latency_lines(view.figures), show_ms, snapshot.time, span_s)
    return f"<div class='plots'>{rates}{latencies}</div>"


def plan_html(*plans: Plan) -> str:
    """What changes would do, or, if none of them can be made, why the last one cannot."""
    possible = [plan for plan in plans if plan.is_possible]
    shown = possible or plans[-1:]
    return _plan_note("plan" if possible else "refused", [line for plan in shown for line in _lines(plan)])


def policy_html(set_policy: Plan, rollback: Plan) -> str:
    """What setting the versions would do, or why it cannot be done; and what rolling back would, if it can."""
    kind = "plan" if set_policy.is_possible or rollback.is_possible else "refused"
    return _plan_note(kind, [*_lines(set_policy), *rollback.lines])


def log_html(log: str) -> str:
    """The log's last lines."""
    return _lines_html("The last lines of the log", log or "The log is empty.", "`%tfserve logs` shows more.")


def history_html(events: Sequence[Event], model: str | None) -> str:
    """What happened to the model and to the server last, the newest first."""
    shown = [event for event in events if event.model in ("", model)][:MAX_EVENTS]
    text = "".join(_event_line(event) for event in shown) or "Nothing has happened yet."
    return _lines_html("What happened last", text, "`%tfserve history` shows more.")


def _lines_html(title: str, text: str, more: str) -> str:
    """Few enough lines to need no scrolling, which would jump whenever a line is added."""
    return f"<p><strong>{escape(title)}</strong></p><pre>{escape(text)}</pre><p>{escape(more)}</p>"


def _addresses(snapshot: Snapshot) -> str:
    if snapshot.state is None:
        return ""
    engine = snapshot.state.engine
    pairs = (("REST", engine.rest_url), ("gRPC", engine.grpc_address))
    shown = " ".join(f"{name} <code>{escape(address)}</code>" for name, address in pairs if address)
    return f"{shown} (kept by {escape(snapshot.owner)})"


def _event_line(event: Event) -> str:
    when = time.strftime("%H:%M:%S", time.localtime(event.time))
    version = "" if event.version is None else f" version {event.version}"
    return f"{when}  {event.kind}{version}  {event.words}".rstrip() + "\n"


def _row_html(row: Row) -> str:
    kind = {"AVAILABLE": "up", "START": "moving", "LOADING": "moving", "UNLOADING": "moving"}.get(
        row.state, ""
    )
    error = f"<p>{escape(row.error)}</p><p>{escape(FAILED_HINT)}</p>" if row.error else ""
    labels = " ".join(f"<span class='chip'>{escape(label)}</span>" for label in row.labels)
    cells = (row.size, row.memory, row.rate, row.p99, row.batch, row.waiting, row.age)
    numbers = "".join(f"<td class='n'>{escape(text)}</td>" for text in cells)
    change = f"<p>{escape(row.change)}</p>" if row.change else ""
    return (
        f"<tr data-version='{row.version}'><th scope='row'>{row.version}</th>"
        f"<td><span class='dot {'failed' if row.error else kind}'></span>{escape(row.state)}{change}{error}</td>"
        f"<td>{labels}</td><td>{escape(row.device)}</td>{numbers}</tr>"
    )


def _head_html(head: str) -> str:
    numeric = "" if head in TEXT_HEADS else " class='n'"
    title = f" title='{escape(EXPLAINED[head], quote=True)}'" if head in EXPLAINED else ""
    return f"<th scope='col'{numeric}{title}>{escape(head)}</th>"


def _plan_note(kind: str, lines: Iterable[str]) -> str:
    return (
        f"<div class='note {kind}' role='status'>{''.join(f'<p>{escape(line)}</p>' for line in lines)}</div>"
    )


def _lines(plan: Plan) -> Iterable[str]:
    return plan.lines if plan.is_possible else (text for text in (plan.refusal, plan.hint) if text)
