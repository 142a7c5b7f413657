"""One file from the web: whole and checked under its name, or kept in part and gone on with later.

A download grows in ``NAME.part``; ``NAME.part.json`` beside it says which version of which file it
is, so parts of two versions are never put together.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import logging
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmlbench.data.addresses import as_sent
from dmlbench.errors import DmlbenchError
from dmlbench.files import write_atomically

ATTEMPTS = 4
"""Attempts in a row that brought nothing, after which a download gives up."""

TIMEOUT_SECONDS = 60.0

_CHUNK = 1 << 20

_log = logging.getLogger(__name__)

OnReceived = Callable[[int, "int | None"], None]
"""Called with the bytes done and, where they are known, the bytes in all."""


class DownloadError(DmlbenchError):
    """A file that could not be had; what there is of it stays for the next attempt."""


class ChecksumError(DownloadError):
    """A file that is not what it should be; it is removed."""


@dataclass(frozen=True)
class Downloaded:
    """A file that is whole. digests: hex, of "sha256" and "md5"."""

    path: Path
    num_bytes: int
    digests: Mapping[str, str]


def download(
    url: str,
    target: Path,
    checksum: str = "",
    progress: OnReceived = lambda done, total: None,
    wait: Callable[[float], None] = time.sleep,
) -> Downloaded:
    """Download a file, resuming an interrupted one, and check it.

    url: http or https.
    target: what the file is called when it is whole; written in its folder until then.
    checksum: ``md5:...`` or ``sha256:...``; "" where none is known.
    wait: sleeps for a number of seconds between attempts.
    Raises `ChecksumError` for a file of another content, `DownloadError` if it cannot be fetched.
    """
    try:
        sent = as_sent(url)
    except ValueError as error:
        raise DownloadError(f"{url} is not an address: {error}.") from error
    if urllib.parse.urlsplit(sent).scheme not in ("http", "https"):
        raise DownloadError(f"{url} is not an http or https address.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target)
    failures, most = 0, part.size()
    while True:
        try:
            _go_on(url, part, bool(checksum), progress)
            break
        except _Refused as error:
            raise DownloadError(f"{url}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            # A disk that refuses would do so again; a connection may not.
            if isinstance(error, _CannotWrite):
                raise DownloadError(f"{part.path} cannot be written: {error}.") from error
            failures = 0 if part.size() > most else failures + 1
            most = max(most, part.size())
            reason = _reason(error)
            if failures >= ATTEMPTS:
                kept = part.size()
                raise DownloadError(
                    f"{url}: {reason}. Given up after {failures} attempts that brought nothing"
                    + (f"; {kept:,} bytes are kept, run again to resume." if kept else ".")
                ) from error
            _log.warning("%s: %s; trying again at %d bytes", url, reason, part.size())
            wait(2.0 ** (failures - 1))
    digests = file_digests(part.path)
    _check(url, part, checksum, digests)
    size = part.size()
    part.finish()
    return Downloaded(target, size, digests)


def file_digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 and the MD5 of a file, in hex."""
    digests = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def matches(checksum: str, digests: Mapping[str, str]) -> bool:
    """Return whether digests are those that `checksum` (``md5:...`` or ``sha256:...``) asks for."""
    kind, _, wanted = checksum.partition(":")
    if kind not in digests:
        raise ValueError(f"a checksum is written md5:HEX or sha256:HEX, not {checksum!r}")
    return digests[kind] == wanted.lower()


class _Refused(Exception):
    """The server will not give the file, however often it is asked."""


class _CannotWrite(OSError):
    """The disk refused."""


class _Part:
    """The part of a file that is there already, and the version of the file that it is from."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.state_file = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def state(self) -> dict[str, Any]:
        try:
            state = json.loads(self.state_file.read_text("utf-8"))
            return state if isinstance(state, dict) else {}
        except (OSError, ValueError):
            return {}

    def begin(self, state: Mapping[str, Any]) -> None:
        """Start again with a version of the file."""
        self.path.unlink(missing_ok=True)
        text = json.dumps(dict(state))
        write_atomically(self.state_file, lambda file: file.write(text.encode()))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.state_file.unlink(missing_ok=True)

    def finish(self) -> None:
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.target)
        self.state_file.unlink(missing_ok=True)


def _go_on(url: str, part: _Part, checked: bool, progress: OnReceived) -> None:
    """Ask for what is missing of a file and write it. Raises `OSError` where it breaks off.

    checked: whether a checksum will tell if parts of two versions were put together.
    """
    start, state = part.size(), part.state()
    known = state.get("validator") or checked
    if start and (state.get("url") != url or not known):
        start = 0
    if start and start == state.get("total"):
        return
    headers = {"User-Agent": "dmlbench", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if state.get("validator"):
            headers["If-Range"] = state["validator"]
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(as_sent(url), headers=headers), timeout=TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                part.discard()
                raise ConnectionError("the server's file is shorter than the part here") from error
            if error.code in (408, 429) or error.code >= 500:
                raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
            raise _Refused(f"the server answers {error.code} {error.reason}") from error
    with response:
        start, total = _place(response, start, state)
        if not start:
            _refuse_pages(response, part.target)
            part.begin({"url": url, "validator": _validator(response), "total": total})
        _append(response, part, start, total, progress)


def _place(
    response: http.client.HTTPResponse, start: int, state: Mapping[str, Any]
) -> tuple[int, int | None]:
    """Return where the answer begins in the file and how long the file is, if that is said."""
    if response.status == 206:
        text = response.headers.get("Content-Range", "")
        unit, _, rest = text.partition(" ")
        span, _, length = rest.partition("/")
        first = span.partition("-")[0]
        total = int(length) if length.isdigit() else None
        if unit != "bytes" or not start or first != str(start):
            raise _Refused(f"the server answers with another range ({text!r}) than asked for")
        if state.get("total") is not None and total is not None and total != state["total"]:
            # Without a validator only the length can tell that the file was changed.
            raise _Refused(
                f"the file has {total:,} bytes now, and had {state['total']:,} when its download "
                "began: remove the .part file and run again"
            )
        return start, total if total is not None else state.get("total")
    # The whole file: the server knows no ranges, or the file is another one by now.
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(response: http.client.HTTPResponse) -> str | None:
    """Return what tells this version of a file from others, as If-Range wants it (RFC 9110)."""
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _refuse_pages(response: http.client.HTTPResponse, target: Path) -> None:
    """A page that asks for a login or a confirmation is not the file."""
    kind = response.headers.get_content_type()
    if kind == "text/html" and target.suffix not in (".html", ".htm"):
        raise _Refused(
            f"the server answers with a web page instead of {target.name}. Open the address in "
            f"a browser and put the file into {target.parent}"
        )


def _append(
    response: http.client.HTTPResponse,
    part: _Part,
    start: int,
    total: int | None,
    progress: OnReceived,
) -> None:
    """Write an answer behind the first `start` bytes. Raises `OSError` where it ends too early."""
    done = start
    if total is not None:
        free = shutil.disk_usage(part.path.parent).free
        if free < total - start:
            raise _CannotWrite(
                errno.ENOSPC, f"{total - start:,} bytes are to come, and {free:,} are free"
            )
    with _writing(lambda: open(part.path, "ab" if start else "wb")) as file:
        progress(done, total)
        while chunk := response.read1(_CHUNK):
            _writing(lambda data=chunk: file.write(data))
            done += len(chunk)
            if total is not None and done > total:
                part.discard()
                raise _Refused(f"the server sends more than the {total:,} bytes it announced")
            progress(done, total)
        _writing(file.flush)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _writing(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except OSError as error:
        raise _CannotWrite(error.errno, error.strerror or str(error)) from error


def _check(url: str, part: _Part, checksum: str, digests: Mapping[str, str]) -> None:
    if checksum and not matches(checksum, digests):
        size = part.size()
        part.discard()
        kind = checksum.partition(":")[0]
        raise ChecksumError(
            f"{url} gave {size:,} bytes with {kind}:{digests[kind]}, but the file should have "
            f"{checksum}. It was changed on its way or on the server, and is removed here. Run "
            "again, or name another source with --url."
        )


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    text = str(cause) or type(cause).__name__
    return " ".join(text.split())
