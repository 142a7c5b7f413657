"""Entries from an address: bounded in size and time, and nothing but text."""

from __future__ import annotations

import time
import urllib.error
import urllib.parse
import urllib.request

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.plain import plain
from dmlbench.leaderboard.record import MAX_RECORD_BYTES, too_large

TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 16


def is_address(text: str) -> bool:
    """Whether this names something by scheme rather than a file."""
    return "://" in text


def fetch_text(address: str, most: int = MAX_RECORD_BYTES, seconds: float = TIMEOUT_SECONDS) -> str:
    """The UTF-8 text at an http or https address, of at most `most` bytes within `seconds` in all.

    Raises `UsageError` for another scheme or an address that does not answer,
    `VerificationError` for what is too large, too slow or no text.
    """
    shown = plain(address)
    _require_web(address, shown)
    end = time.monotonic() + seconds
    request = urllib.request.Request(address, headers={"Accept": "application/json"})
    data = bytearray()
    try:
        with _opener().open(request, timeout=seconds) as answer:
            # Not all at once: a server that sends a byte now and then would hold us for ever.
            while chunk := answer.read1(_CHUNK):
                data += chunk
                if len(data) > most:
                    raise VerificationError(f"{shown}: {too_large(len(data), most)}")
                if time.monotonic() > end:
                    raise VerificationError(f"{shown} took longer than {seconds:.0f} s.")
    except urllib.error.HTTPError as error:
        raise UsageError(f"{shown} answers {error.code} {plain(str(error.reason))}.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UsageError(f"{shown} cannot be fetched: {plain(str(reason))}.") from error
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"{shown} is not UTF-8 text: {error.reason}.") from error


class _OnlyWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the web alone: not to files of this machine, nor to other schemes."""

    def redirect_request(self, request, file, code, message, headers, address):
        _require_web(address, plain(address))
        return super().redirect_request(request, file, code, message, headers, address)


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _OnlyWeb(),
    ):
        opener.add_handler(handler)
    return opener


def _require_web(address: str, shown: str) -> None:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise UsageError(f"{shown} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{shown}: entries are fetched by http and https alone.")
