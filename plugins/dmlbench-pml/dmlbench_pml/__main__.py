"""``python -m dmlbench_pml``: every part that can be named in a ``pml:`` loss, and its defaults."""

from __future__ import annotations

import json

from dmlbench_pml.catalogue import KINDS, catalogue


def main() -> None:
    found = catalogue()
    print(f"pytorch-metric-learning {found.version}")
    for kind, module in KINDS.items():
        print(f"\n{module}")
        for part in found.parts(kind).values():
            params = ", ".join(f"{k}={json.dumps(v)}" for k, v in part.defaults.items())
            print(f"  {part.short_name}({params})")
        for name, reason in found.left_out(kind).items():
            print(f"  not on offer: {name}, which {reason}")


if __name__ == "__main__":
    main()
