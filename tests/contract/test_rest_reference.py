"""Every example of docs/rest.md is answered as the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```bash\n(curl [^\n]+)\n```\n```json\n([^\n]+)\n```", TEXT)


def test_every_command_has_its_answer_when_written():
    assert len(EXAMPLES) == TEXT.count("```bash") == TEXT.count("```json") > 5


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_answer_is_the_written_one_when_the_command_is_run(engine, command, answer):
    _, *options, url = shlex.split(command)
    path = urlsplit(url).path
    reply = engine.rest.post(path, content=options[1]) if options else engine.rest.get(path)
    document = reply.json()
    written = json.loads(answer)
    if "hint" not in written:
        document.pop("hint", None)
    assert document == written
