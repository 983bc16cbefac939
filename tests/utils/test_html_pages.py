"""Pages escape what they are given, and hold their pictures."""

from __future__ import annotations

import base64

from monai_semgan.utils.html_pages import page_template, png_address


def test_the_names_in_a_page_are_text_and_no_markup() -> None:
    page = page_template("monai_semgan.training.run_page", "run.html")
    assert page.environment.from_string("{{ name }}").render(name="<b>ann</b>") == "&lt;b&gt;ann&lt;/b&gt;"


def test_a_picture_is_its_own_address() -> None:
    start, content = png_address(b"\x89PNG and more").split(",")
    assert start == "data:image/png;base64" and base64.b64decode(content) == b"\x89PNG and more"
