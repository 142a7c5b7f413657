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


def plain(text: str, limit: int = 200) -> str:
    """Text without control, formatting and surrogate characters, cut at `limit` characters.

    Entries come from other people: an escape sequence must not reach a terminal, nor a
    right-to-left override reorder a row.
    """
    spaced = "".join(" " if c in "\t\n\r\v\f\u2028\u2029\x85" else c for c in text[: 4 * limit])
    kept = "".join(c for c in spaced if unicodedata.category(c)[0] != "C")
    joined = " ".join(kept.split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"
