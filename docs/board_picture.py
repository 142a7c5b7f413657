"""Write docs/images/board.png: the first screen of a site, as Debian's Chromium shows it.

    python docs/board_picture.py [LEADERBOARDS]

It takes the package `chromium` and playwright (`pip install '.[test]'`).
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from dmlbench.leaderboard.entries.published_store import read_all_published
from dmlbench.leaderboard.entries.store import read_leaderboards
from dmlbench.leaderboard.site.build import write_site
from dmlbench.leaderboard.site.host import NO_HOST, SITE_FILE, read_host

PICTURE = Path(__file__).parent / "images" / "board.png"
SIZE = {"width": 1360, "height": 760}
# Enough for flat colours and smooth letters.
COLOURS = 128


def take_picture(leaderboards: Path, picture: Path = PICTURE) -> None:
    """Build the site of `leaderboards`, open it, and save what is first on the screen."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    binary = shutil.which("chromium") or sys.exit("There is no chromium on this machine.")
    entries, _ = read_leaderboards(leaderboards)
    published, _ = read_all_published(leaderboards)
    file = leaderboards / SITE_FILE
    host, logo = read_host(file) if file.exists() else (NO_HOST, None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = write_site(
            entries,
            Path(folder) / "site",
            published=published,
            source=leaderboards,
            host=host,
            logo=logo,
        )
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(site.index.as_uri())
        page.locator("tbody tr").first.wait_for()
        data = page.screenshot()
        browser.close()
    picture.parent.mkdir(exist_ok=True)
    colours = Image.open(io.BytesIO(data)).convert("RGB").quantize(COLOURS)
    colours.save(picture, optimize=True)


if __name__ == "__main__":
    take_picture(Path(sys.argv[1] if len(sys.argv) > 1 else "leaderboards/defaults"))
