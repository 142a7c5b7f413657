"""When an entry was made, and where more is written about it: dates and web addresses."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

_INSTANT = "%Y-%m-%dT%H:%M:%SZ"
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LONGEST_LINK = 500


def now() -> str:
    """The present instant as records write it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime(_INSTANT)


def check_instant(text: str) -> str:
    """The instant itself. Raises `ValueError` unless it is written in ISO 8601, UTC, to the second.

    >>> check_instant("2026-01-31T12:00:00Z")
    '2026-01-31T12:00:00Z'
    """
    # `strptime` would take most of the time of reading a trial.
    with contextlib.suppress(ValueError):
        if _WRITTEN.fullmatch(text) and datetime.fromisoformat(text):
            return text
    raise ValueError(f"{text[:40]!r} is not a UTC time such as 2026-01-31T12:00:00Z")


def check_link(text: str) -> str:
    """The address itself. Raises `ValueError` unless it is a plain http or https address.

    A page links to it, so it must not run anything (``javascript:``), hide where it leads (a user
    name before the host) or hold characters that no address has.

    >>> check_link("https://arxiv.org/abs/2107.01130")
    'https://arxiv.org/abs/2107.01130'
    """
    if len(text) > _LONGEST_LINK:
        raise ValueError(f"an address has at most {_LONGEST_LINK} characters, not {len(text)}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} is not an address: {error}") from error
    plain = re.fullmatch(r"[!#-;=?-Z\[\]_a-z~]+", text)
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not plain:
        raise ValueError(f"{text[:80]!r} is not an http or https address")
    if port == 0:
        raise ValueError(f"{text[:80]!r} is not an address: there is no port 0")
    return text
