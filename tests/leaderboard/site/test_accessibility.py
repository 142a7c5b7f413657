"""Every page passes axe-core, in light and dark, on a desktop and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmlbench.leaderboard.site.build import write_site
from dmlbench.leaderboard.site.host import Host

# Of WCAG 2.2, levels A and AA, and what axe calls best practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS = {
    # Reading the style sheets again is a request, which the pages forbid.
    "preload": False,
    "runOnly": {"type": "tag", "values": TAGS},
    "resultTypes": ["violations"],
}


@pytest.fixture(scope="module")
def axe():
    module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    )
    return module.Axe()


@pytest.fixture(scope="module")
def hosted(entries, tmp_path_factory) -> Path:
    """The site of `entries` with everything that a host can say."""
    folder = tmp_path_factory.mktemp("hosted") / "out"
    text = "Made with `dmlbench`, see [the rules](https://example.org/rules)."
    host = Host.model_validate({
        "notice": text, "about": text, "submit": text, "cite": "@misc{board}",
        "links": [{"title": "Source", "url": "https://example.org"}],
    })  # fmt: skip
    write_site(entries, folder, host=host)
    return folder


def violations(axe, page) -> list[str]:
    found = axe.run(page, options=OPTIONS).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_index_has_no_violation(visit, axe, hosted, width, dark):
    page = visit(hosted / "index.html", "#metrics=all", width=width, dark=dark)
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("figure.cost").first.scroll_into_view_if_needed()
    page.locator("figure.cost svg").first.wait_for()
    page.get_by_role("button", name="What is MAP@R?").first.click()
    assert not (found := violations(axe, page)), "\n".join(found)


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
def test_the_page_of_an_entry_has_no_violation(visit, axe, hosted, entries, width, dark):
    for entry in (entries[2], entries[4]):
        page = visit(hosted / "entries" / f"{entry.entry_id}.html", width=width, dark=dark)
        page.locator("figure.chart").first.scroll_into_view_if_needed()
        page.locator("figure.chart svg").first.wait_for()
        assert not (found := violations(axe, page)), "\n".join(found)
