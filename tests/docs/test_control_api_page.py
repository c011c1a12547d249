"""docs/control_api.md has every route of the control API, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "control_api.md").read_text(encoding="utf-8")
PARTS = {"model": "NAME", "label": "LABEL", "version": "N", "key": "ID"}


def test_page_has_every_route_and_no_other_when_written():
    sources = [
        path.read_text(encoding="utf-8") for path in (ROOT / "jupyter_tfserve" / "engine").glob("*.py")
    ]
    added = re.findall(r'router\.add\("([A-Z]+)", "([^"]+)"', "".join(sources))
    assert added
    real = {(method, re.sub(r"\{(\w+)\}", lambda part: PARTS[part[1]], path)) for method, path in added}
    assert set(re.findall(r"^\| `([A-Z]+) (/control/[\w/]+)", PAGE, re.MULTILINE)) == real
