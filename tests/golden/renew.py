"""Renew golden.json on purpose: `python tests/golden/renew.py`. See docs/maintaining.md."""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> int:
    from golden_cases import all_cases
    from golden_cases.case import streams
    from golden_cases.stored import FILE, Golden, Numbers, Refused, read, renewed, write

    from dmlbench.version import RESULTS_VERSION

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--new-streams",
        action="store_true",
        help="take over what this machine's random generators draw",
    )
    arguments = parser.parse_args()
    stored = read() if FILE.exists() else Golden(RESULTS_VERSION)
    found = {}
    for name, case in all_cases().items():
        quantities, draws = case.run()
        found[name] = Numbers(quantities, tuple(draws), case.tolerance)
    try:
        golden, report = renewed(stored, found, RESULTS_VERSION, streams(), arguments.new_streams)
    except Refused as refused:
        print(refused)
        return 1
    write(golden)
    print("\n".join(report) or "Nothing changed.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
