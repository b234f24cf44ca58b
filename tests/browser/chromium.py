"""The browser of these tests."""

import pytest
from playwright.sync_api import Browser, BrowserType

from benchmarks.chromium import ARGUMENTS, find_chromium


def launch(kind: BrowserType) -> Browser:
    """Start the browser, or skip the test where none is installed."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium is installed (apt install chromium, or name one in IOC_CHROMIUM)")
    return kind.launch(executable_path=path, args=ARGUMENTS)
