"""The pages of docs/ and README.md: links that lead somewhere, pictures that are small, commands that exist."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jupyter_tfserve.notebook.arguments import parse_line
from jupyter_tfserve.notebook.commands import SUBCOMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PICTURES = sorted((ROOT / "docs" / "images").iterdir())
MAX_PICTURE_BYTES = 150_000


def anchors(page):
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_when_followed(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture_is_small_and_shown_when_committed(picture):
    assert picture.stat().st_size < MAX_PICTURE_BYTES
    assert any(picture.name in page.read_text(encoding="utf-8") for page in PAGES)
    if picture.suffix == ".svg":
        assert ElementTree.parse(picture).getroot().find("{http://www.w3.org/2000/svg}title") is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_magic_lines_are_understood_when_written(page):
    """Lines of code blocks whole; those within a sentence by their command."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in re.findall(r"^%{1,2}tfserve (.+)$", block, re.MULTILINE):
            parse_line(line)
    # What is not there yet may be named.
    there = re.sub(r"^Not yet: .*?^$", "", text, flags=re.DOTALL | re.MULTILINE)
    for command in re.findall(r"%tfserve ([a-z]\w*)", there):
        assert command in SUBCOMMANDS
