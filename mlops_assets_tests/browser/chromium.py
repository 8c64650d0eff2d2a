"""Headless Chromium, from Debian's package, which is installed when it is missing."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

# Off: everything by which Chromium would look for other machines by itself.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def require_chromium() -> str:
    """The path of Chromium. As root it is installed; otherwise the test is skipped with the way."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends"]):
            packages = ["chromium"] if words[0] == "install" else []
            subprocess.run(["apt-get", *words, *packages], check=True, capture_output=True)
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    return found


@contextlib.contextmanager
def opened_page(*, javascript: bool = True) -> Iterator[Page]:
    """A page of a fresh browser, 1400 × 900."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_chromium(), args=list(_ARGUMENTS)
        )
        context = browser.new_context(
            viewport={"width": 1400, "height": 900}, java_script_enabled=javascript
        )
        try:
            yield context.new_page()
        finally:
            browser.close()
