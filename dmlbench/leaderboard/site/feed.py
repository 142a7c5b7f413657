"""The newest entries as an Atom feed (RFC 4287)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as XML

_ATOM = "http://www.w3.org/2005/Atom"
_MOST = 50


@dataclass(frozen=True)
class News:
    """An entry as the feed has it.

    key: of its page, ``entries/<key>.html``. date: when its newest trial ended (ISO 8601, UTC).
    """

    key: str
    title: str
    summary: str
    author: str
    date: str


def atom_feed(title: str, base: str, news: Sequence[News]) -> bytes | None:
    """The feed as a file; None where no entry has a date, because a feed needs one.

    base: the address of the site with a slash at its end; empty where it is not known: links are
    then relative to the feed.
    """
    newest = sorted(news, key=lambda one: (one.date, one.key), reverse=True)[:_MOST]
    if not newest:
        return None
    XML.register_namespace("", _ATOM)
    feed = XML.Element(f"{{{_ATOM}}}feed")
    _add(feed, "title", title)
    _add(feed, "id", base or _urn(title))
    _add(feed, "updated", newest[0].date)
    _add(feed, "link", rel="alternate", type="text/html", href=f"{base}index.html")
    if base:
        _add(feed, "link", rel="self", type="application/atom+xml", href=f"{base}feed.xml")
    for one in newest:
        entry = _add(feed, "entry")
        _add(entry, "title", one.title)
        _add(entry, "id", _urn(one.key))
        _add(entry, "updated", one.date)
        _add(_add(entry, "author"), "name", one.author)
        page = f"{base}entries/{one.key}.html"
        _add(entry, "link", rel="alternate", type="text/html", href=page)
        _add(entry, "summary", one.summary)
    XML.indent(feed, " ")
    return XML.tostring(feed, encoding="utf-8", xml_declaration=True) + b"\n"


def _add(parent: XML.Element, name: str, text: str = "", **attributes: str) -> XML.Element:
    child = XML.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
    child.text = text or None
    return child


def _urn(name: str) -> str:
    """A name that never changes, and is nobody else's, of what has no address of its own."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"dmlbench:{name}").urn
