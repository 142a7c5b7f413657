"""The pages of the built-in losses and combiners, from their specs and docstrings.

A docstring has its first sentence, paragraphs (a formula begins with what it averages or sums),
``name: text`` for every parameter, and the papers.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from speed_tables import ratio_section, speed_section, table

from dmlbench.combiners import COMBINERS
from dmlbench.hookspecs import Spec
from dmlbench.losses import LOSSES
from dmlbench.plugins.docstrings import paragraphs, parameters_in, tried

COMPONENTS = {"losses": LOSSES, "combiners": COMBINERS}

#: What a run gives a component by itself.
_GIVEN = {
    "num_classes": "the number of classes C",
    "embedding_dim": "the dimension D",
    "num_losses": "the number of losses M",
    "head_dims": "the dimensions of the heads",
}
_FORMULA = re.compile(r"mean|Σ|Cross-entropy|Objective")

_NOTATION = {
    "losses": """## Notation

B batch, D dimension, C classes. In a formula a is an anchor, p an item of its class (a positive), n
one of another (a negative); s is a cosine, d a Euclidean distance, of embeddings of length 1. [x]₊
is max(0, x), mean⁺ a mean over the terms above 0, p_c the proxy of class c.

Every loss is called as `loss(embeddings, labels)` with embeddings (B, D) and labels (B,) int64, and
returns a scalar; a batch with nothing to learn from gives 0.
""",
    "combiners": """## Notation

B batch, D dimension of the evaluated embedding, M losses, l_j the value of loss j in a batch, w_j
its weight, e_j (B, D_j) the L2-normalised embedding of head j, g_j the gradient of loss j at the
shared representation: the head's output before normalisation where there is one embedding, the
features where there is a head per loss.

A combiner is called as `combiner(losses, heads)` with losses (M,) and heads (B, D_j), and returns
the objective, a scalar; `embed(heads)` gives the evaluated embedding (B, D). Heads are shared, one
embedding for all losses, or one per loss, which then share the dimension D.
""",
}
_AGAINST = {
    "losses": "the value and gradient of both",
    "combiners": "the values, weights and gradients of both",
}
_INTRODUCTION = {
    "losses": "The built-in losses, each with the field's usual defaults. `--losses NAME` trains "
    "one, `--losses 'NAME(parameter=value)'` with parameters of yours.",
    "combiners": "The built-in combiners of losses. `--combiner NAME` trains one beside each loss "
    "alone, `--combiner 'NAME(parameter=value)'` with parameters of yours.",
}


def component_pages(measured: Mapping[str, Any] | None) -> dict[Path, str]:
    """The pages of every loss and combiner, and the index of each kind, by path below DOCS.

    measured: what ``benchmarks/losses.py`` wrote; None where there is none.
    """
    pages = {}
    for kind, specs in COMPONENTS.items():
        for spec in specs:
            pages[Path(kind, f"{spec.name}.md")] = component_page(kind, spec, measured)
        pages[Path(kind, "README.md")] = index_page(kind, specs, measured)
    return pages


def component_page(kind: str, spec: Spec, measured: Mapping[str, Any] | None) -> str:
    """The page of one loss or combiner."""
    module, _, class_name = spec.target.partition(":")
    prose, parameters, papers = described(module, class_name)
    rows = {
        "names": ", ".join(f"`{name}`" for name in (spec.name, *spec.aliases)),
        "family": getattr(spec, "family", ""),
        "heads": getattr(spec, "heads", ""),
        "class": f"`{module}.{class_name}`",
    }
    parts = [
        f"# {spec.name}",
        f"{spec.summary}.",
        table(["", ""], ([key, value] for key, value in rows.items() if value)),
        "## Definition",
        *prose,
        "## Parameters",
    ]
    rows = [
        [f"`{name}`", f"`{json.dumps(default)}`", parameters.get(name, ""), tried(spec, name)]
        for name, default in spec.defaults.items()
    ]
    parts.append(table(["parameter", "default", "meaning", "tuned"], rows) if rows else "None.")
    given = [text for name, text in _GIVEN.items() if name in parameters]
    if given:
        listed = " and ".join(filter(None, [", ".join(given[:-1]), given[-1]]))
        parts.append(f"The run gives it {listed}.")
    paper = " ".join(papers.split()) or spec.reference
    if paper:
        parts.append(f"## Paper\n\n{linked(paper)}")
    if kind == "losses":
        parts.append(speed_section(spec.name, measured))
    parts.append(f"[All {kind}, and the notation](README.md)")
    return "\n\n".join(parts) + "\n"


def index_page(kind: str, specs: Iterable[Spec], measured: Mapping[str, Any] | None) -> str:
    """The table of all losses or combiners, the notation, and the table of ratios."""
    extra = "family" if kind == "losses" else "heads"
    rows = [
        [
            f"[{spec.name}]({spec.name}.md)",
            ", ".join(spec.aliases),
            getattr(spec, extra),
            spec.summary,
            linked(spec.reference),
        ]
        for spec in specs
    ]
    parts = [
        f"# {kind.capitalize()}",
        textwrap.fill(_INTRODUCTION[kind], 100, break_on_hyphens=False),
        table(["name", "also", extra, "what it does", "paper"], rows),
        _NOTATION[kind].rstrip(),
    ]
    parts.append(
        f"## Against the authors' code\n\nThe definition on each page says how the "
        f"{'loss' if kind == 'losses' else 'combiner'} differs from its authors' code, if it does."
        f"\n[against-authors.md](against-authors.md) has {_AGAINST[kind]}."
    )
    if kind == "losses":
        parts.append(ratio_section(measured))
    return "\n\n".join(parts) + "\n"


def described(module: str, class_name: str) -> tuple[list[str], dict[str, str], str]:
    """A class's docstring as paragraphs in Markdown, its parameters, and the papers at its end."""
    target = f"{module}:{class_name}"
    blocks = list(paragraphs(target))
    if not blocks:
        raise LookupError(f"{target} cannot be found, or has no docstring")
    targets = [spec.target for specs in COMPONENTS.values() for spec in specs]
    papers = blocks.pop() if len(blocks) > 1 and re.search(r"\b(19|20)\d\d\b", blocks[-1]) else ""
    prose, parameters = [], {}
    for block in blocks:
        found = parameters_in(block, target, targets)
        if found:
            parameters |= found
        elif prose and _FORMULA.match(block):
            prose.append(textwrap.indent(block, "    "))
        else:
            prose.append(block)
    return prose, parameters, papers


def linked(text: str) -> str:
    """A reference with its arXiv number as a link."""
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)
