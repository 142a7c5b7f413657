"""Hook of MkDocs: links that work in the repository work on the site too.

The site has the pages of ``docs/`` under their own paths, and a few pages from outside it, such as
the repository's README, under ``repository/``. A relative link to a page or file of the site is
rewritten to it. A link to a folder leads to its README or, without one, to the first page in it; a
link to a notebook leads to the page made from it.
Every other target, such as a module, is only in the repository: the link leads there if
``repo_url`` is set (as GitHub and GitLab address files: ``/blob/HEAD/PATH``). Otherwise the text
stays, followed by the path where the text does not name it. A target that does not exist is left as
it is, for MkDocs to report.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Pages from outside docs/ that the site includes.
INCLUDED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "plugins/*/README.md")
#: The folder of the site that has them.
OUTSIDE = "repository"

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^()\s]+)\)")
_EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def repository_path(page: str) -> str:
    """The path in the repository of a page of the site."""
    inside, _, rest = page.partition("/")
    return rest if inside == OUTSIDE else f"docs/{page}"


def site_path(path: str) -> str:
    """The path on the site of a file of the repository."""
    inside, _, rest = path.partition("/")
    return rest if inside == "docs" else f"{OUTSIDE}/{path}"


def rewrite(text: str, change: Callable[[re.Match[str]], str]) -> str:
    """The Markdown with `change` applied to every relative link outside fenced code."""

    def relative(match: re.Match[str]) -> str:
        target = match["target"]
        return match[0] if target[0] == "#" or _EXTERNAL.match(target) else change(match)

    blocks: list[tuple[bool, list[str]]] = [(False, [])]
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if not fence and mark:
            fence = mark[1]
            blocks.append((True, []))
        blocks[-1][1].append(line)
        if fence and len(blocks[-1][1]) > 1 and line.strip() == fence:
            fence = ""
            blocks.append((False, []))
    return "".join(
        "".join(lines) if code else _LINK.sub(relative, "".join(lines)) for code, lines in blocks
    )


def for_the_site(text: str, page: str, files: Collection[str], repo_url: str | None) -> str:
    """The Markdown of `page` with the links that the site needs.

    page: its path on the site. files: the paths of all files of the site.
    """
    here = posixpath.dirname(page)

    def change(match: re.Match[str]) -> str:
        target, mark, anchor = match["target"].partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(page)), target))
        if path.startswith("..") or not (ROOT / path).exists():
            return match[0]
        wanted = site_path(path)
        below = sorted(name for name in files if name.startswith(f"{wanted}/"))
        pages = [name for name in below if name.endswith(".md")]
        # From the page itself the link leads to the notebook's file.
        made = {wanted.replace(".ipynb", ".md")} - {wanted, page}
        for found in (*made, wanted, f"{wanted}/README.md", *pages):
            if found in files:
                link = posixpath.relpath(found, here or ".")
                return f"{match['image']}[{match['text']}]({link}{mark}{anchor})"
        if repo_url:
            return f"[{match['text']}]({repo_url.rstrip('/')}/blob/HEAD/{path}{mark}{anchor})"
        named = posixpath.basename(path) in match["text"]
        return match["text"] if named else f"{match['text']} (`{path}`)"

    return rewrite(text, change)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside ``docs/``."""
    from mkdocs.structure.files import File

    for pattern in INCLUDED:
        for source in sorted(ROOT.glob(pattern)):
            path = source.relative_to(ROOT).as_posix()
            files.append(File.generated(config, site_path(path), abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite the links of a page."""
    published = {file.src_uri for file in files if file.inclusion.is_included()}
    return for_the_site(markdown, page.file.src_uri, published, config.repo_url)
