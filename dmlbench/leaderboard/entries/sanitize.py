"""Text from other people, made safe to print."""

from __future__ import annotations

import unicodedata


def plain_lines(text: str, limit: int = 4000) -> str:
    """Text of several lines made plain, each with the spaces that it begins with."""
    lines = text.split("\n")
    indents = [len(line) - len(line.lstrip(" ")) for line in lines]
    return "\n".join(
        " " * indent + plain(line, limit) for indent, line in zip(indents, lines, strict=True)
    )


def visible(text: str) -> str:
    """Text without control, formatting and surrogate characters, line breaks excepted.

    Every view passes its text through this on the way out, whoever made it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c == "\n" or unicodedata.category(c)[0] != "C")


def plain(text: str, limit: int = 200) -> str:
    """Text without control, formatting and surrogate characters, cut at `limit` characters.

    Entries come from other people: an escape sequence must not reach a terminal, nor a
    right-to-left override reorder a row.
    """
    spaced = "".join(" " if c in "\t\n\r\v\f\u2028\u2029\x85" else c for c in text[: 4 * limit])
    joined = " ".join(visible(spaced).split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"
