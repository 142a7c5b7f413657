"""``dmlbench plugin check``: does a loss, a combiner or a whole plugin keep the contract?"""

from __future__ import annotations

import dataclasses
import json
import textwrap
from typing import TYPE_CHECKING

import click

from dmlbench.cli.completion import checkable
from dmlbench.cli.options import json_option, without_option

if TYPE_CHECKING:
    from dmlbench.conformance.check_plugin import Report


@click.command("check")
@click.argument("name", shell_complete=checkable)
@without_option
@json_option
def check_command(name: str, without: tuple[str, ...], as_json: bool) -> int:
    """Run the conformance kit on the loss or combiner NAME, or on all that a distribution offers.

    NAME may have parameters: 'triplet(mining=hard)'. Datasets and backbones are built, without
    pretrained weights, and must give what `run` asks of them. Exits with 4 where a check fails.
    """
    from dmlbench.conformance.check_plugin import check_name
    from dmlbench.errors import VerificationError
    from dmlbench.plugins.loading import load_plugins

    reports = []
    for report in check_name(load_plugins(without), name):
        reports.append(report)
        if not as_json:
            _show(report)
    totals = {key: sum(r.count(key) for r in reports) for key in ("passed", "failed", "skipped")}
    ran = totals["passed"] + totals["failed"]
    if as_json:
        rows = [dataclasses.asdict(report) for report in reports]
        click.echo(json.dumps({"ran": ran, **totals, "reports": rows}, indent=1))
    else:
        click.echo(
            f"{ran} checks ran: {totals['passed']} passed, {totals['failed']} failed. "
            f"{totals['skipped']} were skipped."
        )
    return VerificationError.exit_code if totals["failed"] else 0


def _show(report: Report) -> None:
    click.echo(f"{report.subject} {report.version}, {report.kind}")
    passed = [result.name for result in report.results if result.outcome == "passed"]
    if passed:
        lines = textwrap.wrap(", ".join(passed), 80, break_on_hyphens=False)
        click.echo("  passed   " + ("\n" + " " * 11).join(lines))
    # One reason may stand for many checks.
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in report.results:
        if result.outcome != "passed":
            reasons.setdefault((result.outcome, result.reason), []).append(result.name)
    for (outcome, reason), names in reasons.items():
        mark = "FAILED " if outcome == "failed" else outcome
        click.echo(f"  {mark}  {', '.join(names)}: {reason}")
