"""Extension of Griffe: the docstrings of this project as Markdown.

A docstring has a line ``name: text`` for each argument, continued on indented lines, sentences that
begin with ``Returns`` and ``Raises``, and indented examples (``CONTRIBUTING.md``). For the site the
arguments become a list, the sentences paragraphs, and the examples blocks of Python.
"""

from __future__ import annotations

import re
from typing import Any

try:
    from griffe import Extension
except ImportError:  # `as_markdown` is tested where the site is not built
    Extension = object  # type: ignore[assignment,misc]

_ARGUMENT = re.compile(r"(?P<names>\*{0,2}[a-z]\w*(?:, \*{0,2}[a-z]\w*)*): (?P<text>\S.*)")
_SENTENCE = re.compile(r"(?:Returns|Raises|Yields) ")
_DIRECTIVE = re.compile(r" *# doctest: .*")


def as_markdown(docstring: str) -> str:
    """The docstring, which has no common indent, as Markdown."""
    made: list[str] = []
    inside = "text"  # or "argument" or "example"
    for line in docstring.splitlines():
        indented = line.startswith("    ")
        if inside == "example" and not indented:
            made.append("```")
            inside = "text"
        if indented and inside == "argument":
            made.append(f"    {line.strip()}")
        elif indented and (inside == "example" or line.lstrip().startswith(">>> ")):
            if inside != "example":
                made += ["", "```pycon"]
                inside = "example"
            made.append(_DIRECTIVE.sub("", line[4:]))
        elif match := _ARGUMENT.fullmatch(line):
            if inside != "argument":
                made.append("")
            inside = "argument"
            names = ", ".join(f"`{name}`" for name in match["names"].split(", "))
            made.append(f"- {names}: {match['text']}")
        elif _SENTENCE.match(line):
            made += ["", line]
            inside = "text"
        else:
            if line:
                inside = "text"
            made.append(line)
    if inside == "example":
        made.append("```")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(made).strip("\n"))


class PlainDocstrings(Extension):
    """Rewrites the docstring of every object that Griffe reads."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite one."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
