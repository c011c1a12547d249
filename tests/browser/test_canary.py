"""S7's canary would be heard: what every other browser test takes its silence for."""

from __future__ import annotations


def test_canary_fires_when_markup_is_taken_for_markup(page, fired):
    page.set_content("<img src=x onerror=alert(1)>")
    page.wait_for_function("document.images[0].complete")
    page.evaluate("window.canary('heard')")
    assert fired[-1:] == ["heard"]
    assert "1" in fired
    fired.clear()
