"""``dmlbench doctor``: is everything there that a run needs?"""

from __future__ import annotations

import json

import click

from dmlbench.cli.options import json_option


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> int:
    """Check versions, faiss, device, plugins and folders, and say what to do about problems.

    Exits with 1 where something is missing or broken.
    """
    from dmlbench.running.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            mark = {"ok": "ok  ", "warning": "warn", "problem": "FAIL"}[finding.level]
            click.echo(f"{mark}  {finding.subject}: {finding.message}")
    return 1 if any(finding.level == "problem" for finding in findings) else 0
