"""`rouse doctor`: what this machine has, and what to do about what it lacks."""

import os

import typer

from gateway.cli.failures import REFUSED
from gateway.cli.options import Output
from gateway.cli.output import Format, show

MARKS = {"ok": "ok     ", "warn": "less   ", "missing": "MISSING"}


def doctor(output: Output = Format.TABLE) -> None:
    """Look at runtimes, servers, ports and limits; exit 0 when `rouse up` can run here."""
    import msgspec  # like what `machine` loads, only for who asks for it

    from gateway.cli import machine

    findings = machine.look(os.environ)
    is_fit = machine.can_run(findings)
    if output is not Format.TABLE:
        show({"ok": is_fit, "checks": msgspec.to_builtins(findings)}, output, ())
    else:
        for finding in findings:
            typer.echo(f"{MARKS[finding.verdict]}  {finding.check}: {finding.found}")
            if finding.remedy:
                typer.echo(f"{'':9}-> {finding.remedy}")
        verdict = "can run here" if is_fit else "cannot run here yet"
        typer.echo(f"\n`rouse up` {verdict}.")
    if not is_fit:
        raise typer.Exit(REFUSED)
