"""What a host says of its boards: title, texts, logo and links, from a TOML file."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries.entry import Link
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.leaderboard.entries.record import Record
from dmlbench.leaderboard.entries.sanitize import plain, visible
from dmlbench.leaderboard.site.prose import paragraphs

#: Beside the leaderboards, where the site finds it without being told.
SITE_FILE = "_site.toml"
_MOST_BYTES = 2**20
_PICTURES = (".png", ".svg", ".webp", ".jpg", ".jpeg", ".gif")


def _line(text: str) -> str:
    return plain(text, 1000)


def _text(text: str) -> str:
    paragraphs(text)  # its links are checked
    return visible(text)


Line = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_line)]
Text = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_text)]


class HostLink(Record):
    """A link of the page's head."""

    title: Line
    url: Link


class Host(Record):
    """A host's own words. Texts are paragraphs with `code` and [links](https://...).

    question: what the boards answer, under the title. notice: what every reader must know first,
    on every page. about, submit: sections of the index. cite: shown as it is, to be copied.
    logo: a picture beside the file. url: where the site will be; the feed then has whole addresses.
    updated: when the host last changed something; by default the date of the newest entry.
    """

    title: Line = "Leaderboard"
    question: Line = (
        "Which loss, or combination of losses, retrieves classes that were never trained on?"
    )
    notice: Text | None = None
    about: Text | None = None
    submit: Text | None = None
    cite: Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(visible)] | None = (
        None
    )
    logo: str | None = None
    url: Link | None = None
    updated: date | None = None
    links: list[HostLink] = Field(default_factory=list, max_length=12)

    @property
    def base(self) -> str:
        """The site's address, ending in a slash; empty where it is not known."""
        return "" if self.url is None else self.url.rstrip("/") + "/"


#: What the pages say where the host says nothing.
NO_HOST = Host()


def read_host(file: Path) -> tuple[Host, bytes | None]:
    """What a host's file says, and the picture that it names.

    Raises `UsageError` that names the file and what is wrong with it.
    """
    try:
        host = Host.model_validate(tomllib.loads(read_text(file, _MOST_BYTES, file.parent)))
    except VerificationError as error:
        raise UsageError(str(error)) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        known = ", ".join(Host.model_fields)
        hint = f" Allowed: {known}." if first["type"] == "extra_forbidden" else ""
        what = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{file}: {plain(where)}: {plain(what, 500)}.{hint}") from error
    return host, _picture(file, host.logo)


def _picture(file: Path, name: str | None) -> bytes | None:
    """The logo's bytes: a picture of the host's own folder, no link, of at most a megabyte."""
    if name is None:
        return None
    path = file.parent / name
    if Path(name).name != name or path.suffix.lower() not in _PICTURES:
        raise UsageError(
            f"{file}: logo: {name!r} is not the name of a picture beside the file "
            f"({', '.join(_PICTURES)})."
        )
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{file}: logo: there is no file {path}.")
    if path.stat().st_size > _MOST_BYTES:
        raise UsageError(f"{file}: logo: {path} is larger than a megabyte.")
    return path.read_bytes()
