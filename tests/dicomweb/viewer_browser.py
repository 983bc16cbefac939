"""OHIF in headless Chromium, driven as a reader does: by what is written on its page."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

from tests.free_ports import free_port

if TYPE_CHECKING:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.remote.webelement import WebElement

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-gl=angle",  # WebGL without a GPU
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--window-size=1300,860",
)

ENTRY = '[data-cy="study-browser-thumbnail-no-image"]'
VIEWPORT = '[data-cy="viewport-pane"]'
SEGMENTS = '//*[@data-cy="panelSegmentation-btn"]'
YES = '//button[normalize-space()="Yes"]'
LOGO = '//*[@data-cy="return-to-work-list"]'
NAME = '//*[@data-cy="data-row-title" and text()="{}"]'

ROWS = """
const all = name => [...document.querySelectorAll(`[data-cy="data-row-${name}"]`)];
const colours = all("colorhex").map(dot => getComputedStyle(dot).backgroundColor);
return all("title").map((title, row) => [title.textContent, colours[row]]);
"""
"""Read at once, while the list is being built."""

BOX = """
const boxes = [...document.querySelectorAll("[data-radix-popper-content-wrapper]")];
const box = boxes.find(box => box.textContent.startsWith(arguments[0]));
const lines = box ? [...box.querySelectorAll(".segment-statistics-body .justify-between")] : [];
return lines.map(line => [...line.children].map(part => part.textContent.trim()));
"""

T = TypeVar("T")


class OhifPage:
    """A study, opened in a browser with an empty profile of its own.

    Args:
        profile: folder that is made for it.
        url: of the study in the viewer.
    """

    def __init__(self, profile: Path, url: str) -> None:
        selenium = pytest.importorskip("selenium.webdriver", reason="needs selenium")
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            pytest.skip("needs chromium and chromedriver (Debian: chromium chromium-driver)")
        options = selenium.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = selenium.ChromeService(driver, port=free_port())
        self._driver = selenium.Chrome(options=options, service=service)
        self._url, self._failure = url, profile.with_name("not_shown.png")

    def __enter__(self) -> OhifPage:
        try:
            self._driver.get(self._url)
            self._click('//*[text()="Skip all"]')  # of the tour
            self._click('//button[text()="Confirm and hide"]')  # for investigational use only
        except BaseException:
            self._driver.quit()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.quit()

    def series(self) -> list[str]:
        """What the list on the left shows, by modality."""
        return [one.text for one in self._all('[data-cy="series-modality-label"]')]

    def load_segmentation(self) -> None:
        """Open the study's segmentation: a double click in the list, then Yes."""
        self._click(SEGMENTS)  # first: they take their place from the picture
        (entry,) = self._wait(lambda: self._all(ENTRY), "the segmentation in the list")
        self._wait(lambda: self._seen(YES), "a question", act=lambda: self._double_click(entry))
        self._wait(self.segments, "the names of the segments", act=lambda: self._click(YES))

    def segments(self) -> dict[str, tuple[int, ...]]:
        """Names and colours (red, green, blue) of the list on the right."""
        return {name: _rgb(colour) for name, colour in self._driver.execute_script(ROWS)}

    def measured(self, segment: str) -> dict[str, str]:
        """What OHIF measures of a segment: the box that the mouse brings up over its name."""

        def hover() -> None:
            self._hover(LOGO)
            self._hover(NAME.format(segment))

        def box() -> dict[str, str]:
            return dict(self._driver.execute_script(BOX, segment))

        measures = self._wait(box, f"what it measures of the {segment}", act=hover, again=4.0)
        self._hover(LOGO)
        return measures

    def instance(self) -> int:
        """`InstanceNumber` of the slice that is shown, as the corner of the picture has it."""
        text = self._all('[data-cy="viewport-overlay-bottom-right"]')[0].text
        return int(text.split("I:")[1].split()[0])

    def picture(self, segment: str, path: Path, shows: Callable[[np.ndarray], object]) -> np.ndarray:
        """Go to the middle of a segment; take a screenshot once the slice shows something, and stays so for a second.

        Returns:
            (H, W, 3) of the slice alone; the file has the whole page.
        """
        former: list[bytes] = []

        def jump() -> None:
            self._click(NAME.format(segment))
            self._hover(LOGO)  # off the name, which has a box over the picture

        def still() -> bool:
            former.append(self._driver.get_screenshot_as_png())
            return former[-3:].count(former[-1]) == 3 and bool(shows(self._viewport(former[-1])))

        self._wait(still, f"the {segment}", act=jump, pause=0.4)
        path.write_bytes(former[-1])
        return self._viewport(former[-1])

    def _viewport(self, png: bytes) -> np.ndarray:
        from PIL import Image

        box = self._all(VIEWPORT)[0].rect
        left, top = round(box["x"]), round(box["y"])
        whole = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        return whole[top : top + round(box["height"]), left : left + round(box["width"])]

    def _all(self, selector: str) -> list[WebElement]:
        return list(self._driver.find_elements("css selector", selector))

    def _seen(self, xpath: str) -> bool:
        return bool(self._driver.find_elements("xpath", xpath))

    def _hover(self, xpath: str) -> None:
        self._on(xpath, lambda one: self._mouse().move_to_element(one).perform())

    def _click(self, xpath: str) -> None:
        self._on(xpath, lambda one: one.click())

    def _double_click(self, one: WebElement) -> None:
        self._mouse().double_click(one).perform()

    def _mouse(self) -> ActionChains:
        from selenium.webdriver import ActionChains

        return ActionChains(self._driver)

    def _on(self, xpath: str, act: Callable[[WebElement], object]) -> None:
        """Do something with the first element that fits, once it is there and can be used."""
        from selenium.common import ElementNotInteractableException, StaleElementReferenceException

        def done() -> bool:
            found = self._driver.find_elements("xpath", xpath)
            try:
                for one in found[:1]:
                    act(one)
            except (ElementNotInteractableException, StaleElementReferenceException):
                return False
            return bool(found)

        self._wait(done, xpath)

    def _wait(
        self,
        happens: Callable[[], T],
        what: str,
        *,
        act: Callable[[], object] = lambda: None,
        again: float = 20.0,
        pause: float = 0.1,
    ) -> T:
        """Do something until something happens: again after some seconds, as readers do where a click got lost."""
        deadline, due = time.monotonic() + 120.0, 0.0
        while True:
            if time.monotonic() >= due:
                act()
                due = time.monotonic() + again
            if result := happens():
                return result
            if time.monotonic() > deadline:
                shown = self._driver.save_screenshot(str(self._failure)) and self._failure
                pytest.fail(f"OHIF does not show {what}: see {shown}")
            time.sleep(pause)


def _rgb(css: str) -> tuple[int, ...]:
    """Of `rgb(1, 2, 3)` or `rgba(1, 2, 3, 1)`."""
    return tuple(int(word) for word in css.split("(")[1].rstrip(")").split(",")[:3])
