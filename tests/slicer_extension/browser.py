"""Pictures of pages in headless Chromium."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.free_ports import free_port

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1400,800",
)


class Browser:
    """Chromium with an empty profile of its own.

    Args:
        profile: folder that is made for it.
    """

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            pytest.skip("needs chromium and chromedriver (Debian: chromium chromium-driver)")
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        self._driver = webdriver.Chrome(options=options, service=Service(driver, port=free_port()))

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.quit()

    def open(self, url: str) -> None:
        """Go to an address."""
        self._driver.get(url)

    def picture(self, path: Path, shows: Callable[[np.ndarray], Any], seconds: float = 180.0) -> np.ndarray:
        """Take a screenshot, (H, W, 3), once the page shows something and stays so for a second; also saved as PNG."""
        from PIL import Image

        deadline, former = time.monotonic() + seconds, None
        while True:
            data = self._driver.get_screenshot_as_png()
            path.write_bytes(data)
            picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
            if shows(picture) and former is not None and np.array_equal(former, picture):
                return picture
            assert time.monotonic() < deadline, f"not shown in time: see {path}"
            former = picture
            time.sleep(1.0)


def near(picture: np.ndarray, colour: tuple[int, int, int], within: int = 6) -> np.ndarray:
    """Find where a screenshot has a colour, as (H, W)."""
    return (np.abs(picture - np.array(colour)) <= within).all(axis=-1)
