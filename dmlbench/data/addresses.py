"""Addresses as people write them, and as they are sent."""

from __future__ import annotations

import urllib.parse


def as_sent(address: str) -> str:
    """An http address in ASCII: other letters escaped, those of its host in punycode.

    What is escaped already stays. Raises ValueError for a host that cannot be written so.

    >>> as_sent("http://exämple.org/ü b?q=ä#part")
    'http://xn--exmple-cua.org/%C3%BC%20b?q=%C3%A4'
    """
    parts = urllib.parse.urlsplit(address)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    path, query = (
        urllib.parse.quote(part, safe="/%:@!$&'()*+,;=?~") for part in (parts.path, parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))
