"""A small site, and one headless Chromium for all tests that look at pages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dmlbench.leaderboard.site.build import write_site

HOSTILE = "<img src=x onerror=\"document.title='run'\">&amp;</script><script>document.title='run'"

_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def hostile() -> str:
    """A name that would run a script if it were ever read as markup."""
    return HOSTILE


@pytest.fixture(scope="session")
def entries(make_entry, make_component):
    """Two groups on glyphs, one on another dataset; a third-party loss with a hostile name."""
    hostile = make_component(HOSTILE, distribution="their-dist", version="2.0")
    return [
        make_entry("triplet", [0.50, 0.52, 0.51, 0.50, 0.52]),
        make_entry("ms", [0.55, 0.56, 0.57, 0.56, 0.56]),
        make_entry("triplet+ms", [0.56, 0.59, 0.621, 0.58, 0.599], combiner="wedl"),
        make_entry([hostile], [0.40, 0.41, 0.43, 0.40, 0.41], submitter=HOSTILE),
        make_entry("contrastive", [0.95, 0.85], failed={2: f"NaN {HOSTILE}"}),
        make_entry("triplet", [0.3, 0.32, 0.34], epochs=5, overrides={"epochs": 5}),
        make_entry("ms", [0.31, 0.33, 0.35], dataset="birds", recipe={"name": HOSTILE}),
    ]


@pytest.fixture(scope="session")
def site(entries, tmp_path_factory) -> Path:
    """The folder of the site of `entries`."""
    folder = tmp_path_factory.mktemp("site") / "out"
    write_site(entries, folder)
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all tests; they are skipped where there is none."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if binary is None:
        pytest.skip("no chromium on this machine: install Debian's package chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("chromium")),
            executable_path=binary,
            args=list(_ARGUMENTS),
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(10_000)
        yield context
        context.close()


@pytest.fixture
def visit(browser):
    """Open a page; at the end no page may have complained or asked for anything but files."""
    pages, complaints = [], []

    def open_page(path: Path, query: str = "", width: int = 1280, dark: bool = False):
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        # A page that is left gives up what it was still loading.
        page.on(
            "requestfailed",
            lambda request: (
                request.failure == "net::ERR_ABORTED"
                or complaints.append(f"{request.failure}: {request.url}")
            ),
        )
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:"))
                or complaints.append(f"asked for {request.url}")
            ),
        )
        page.goto(path.as_uri() + query)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
