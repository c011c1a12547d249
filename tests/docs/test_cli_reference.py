"""docs/cli.md is what the program's own help says."""

from __future__ import annotations

from jupyter_tfserve.engine.flags import FLAGS, usage
from tests.docs import cli_reference


def test_page_is_the_programs_help_when_committed():
    assert cli_reference.FILE.read_text(encoding="utf-8") == cli_reference.document(), (
        "run: python -m tests.docs.cli_reference"
    )


def test_page_and_help_name_the_same_flags_when_printed():
    page, help_text = cli_reference.document(), usage()
    for flag in FLAGS:
        assert f"`--{flag.name}`" in page
        assert f"--{flag.name}" in help_text
