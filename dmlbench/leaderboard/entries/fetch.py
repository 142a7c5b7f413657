"""Entries from an address: bounded in size and time, and nothing but text."""

from __future__ import annotations

import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from dmlbench.data.addresses import as_sent
from dmlbench.errors import DmlbenchError, UsageError, VerificationError
from dmlbench.leaderboard.entries.reading import MAX_RECORD_BYTES, too_large
from dmlbench.leaderboard.entries.sanitize import plain

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
    # In a thread that may be left behind: reading headers has no limit in all, and a server that
    # sends a byte now and then would hold us for ever.
    answer: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    arguments = (address, most, time.monotonic() + seconds, answer)
    threading.Thread(target=_read, args=arguments, daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise VerificationError(f"{shown} took longer than {seconds:.0f} s.") from None
    if isinstance(found, urllib.error.HTTPError):
        raise UsageError(f"{shown} answers {found.code} {plain(str(found.reason))}.") from found
    if isinstance(found, DmlbenchError):
        raise found
    if isinstance(found, Exception):
        reason = getattr(found, "reason", found)
        raise UsageError(f"{shown} cannot be fetched: {plain(str(reason))}.") from found
    if len(found) > most:
        raise VerificationError(f"{shown}: {too_large(most)}")
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"{shown} is not UTF-8 text: {error.reason}.") from error


def _read(
    address: str, most: int, end: float, answer: queue.SimpleQueue[bytes | Exception]
) -> None:
    """Give the bytes at an address, of which those over `most` are not all read, or the error."""
    data = bytearray()
    try:
        request = urllib.request.Request(as_sent(address), headers={"Accept": "application/json"})
        with _opener().open(request, timeout=max(end - time.monotonic(), 0.1)) as response:
            while len(data) <= most and time.monotonic() < end:
                chunk = response.read1(_CHUNK)
                if not chunk:
                    answer.put(bytes(data))
                    return
                data += chunk
        if len(data) > most:
            answer.put(bytes(data))
    except Exception as error:
        answer.put(error)


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
        raise UsageError(f"{shown} is not an address: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{shown}: entries are fetched by http and https alone.")
