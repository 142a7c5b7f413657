"""Text as HTML: escaped, with the little markup that sentences and a host's words have."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from dmlbench.leaderboard.entries.origin import check_link

_CODE = re.compile(r"`([^`]*)`")
_LINK = re.compile(r"\[([^\[\]]+)\]\(([^\s()]+)\)")


def prose(text: str) -> Markup:
    """Text as HTML, with what is between backticks as code.

    >>> str(prose("run `a < b` again"))
    'run <code>a &lt; b</code> again'
    """
    parts = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if i % 2 else escape(part)
        for i, part in enumerate(parts)
    )


def paragraphs(text: str) -> Markup:
    """A host's text as paragraphs, with code and with links as Markdown writes both.

    >>> str(paragraphs("See [the rules](https://example.org/rules)."))
    '<p>See <a href="https://example.org/rules">the rules</a>.</p>'

    Raises `ValueError` for a link that is not a plain http or https address.
    """
    blocks = [block for block in re.split(r"\n\s*\n", text.strip()) if block.strip()]
    return Markup("\n").join(Markup("<p>{}</p>").format(_linked(block)) for block in blocks)


def _linked(text: str) -> Markup:
    parts, end = [], 0
    for match in _LINK.finditer(text):
        link = Markup('<a href="{}">{}</a>').format(check_link(match[2]), prose(match[1]))
        parts += [prose(text[end : match.start()]), link]
        end = match.end()
    return Markup("").join([*parts, prose(text[end:])])
