"""The command doctor: what is wrong with this machine or a cluster, and what to do about it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, locate

if TYPE_CHECKING:
    from mlops_assets.doctor.finding import Finding

_MARKS = {"fine": "  fine", "unknown": "     ?", "warning": "  warn", "broken": "BROKEN"}


def doctor(
    *,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Examine a cluster: this pod's, or kubectl's.")
    ] = False,
    namespace: Annotated[str, typer.Option(help="Where the platform runs.")] = "mlops",
    models: Annotated[
        str, typer.Option(help="Where models are served.", envvar="MLOPS_KSERVE_NAMESPACE")
    ] = "mlops-models",
    account: Annotated[
        str,
        typer.Option(help="Whose rights you have: run, daemon, webserver or code-location."),
    ] = "run",
    mode: Annotated[
        str, typer.Option(help="KServe's mode: Standard or Knative.", envvar="MLOPS_KSERVE_MODE")
    ] = "Standard",
    kubeconfig: Annotated[Path | None, typer.Option(help="As for kubectl.")] = None,
    context: Annotated[str | None, typer.Option(help="As for kubectl.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with this machine or with a cluster, and how to mend it.

    Changes nothing. Exit code 1 when something is broken; what could not be looked at is told as
    `?` and is no failure.
    """
    from mlops_assets.doctor.finding import to_json, worst

    if cluster:
        findings = _examine_cluster(namespace, models, account, mode, kubeconfig, context)
    else:
        from mlops_assets.doctor.laptop import examine_laptop

        findings = examine_laptop(*locate(home))
    if as_json:
        typer.echo(json.dumps(to_json(findings), ensure_ascii=False))
    else:
        for finding in findings:
            _show(finding)
    raise typer.Exit(1 if worst(findings) == "broken" else 0)


def _examine_cluster(
    namespace: str,
    models: str,
    account: str,
    mode: str,
    kubeconfig: Path | None,
    context: str | None,
) -> "list[Finding]":
    import os
    from typing import get_args

    from mlops_assets.doctor.cluster import Examined, examine_cluster
    from mlops_assets.doctor.rights import Account
    from mlops_assets.kserve.api import connect
    from mlops_assets.kserve.capabilities import Mode

    for option, value, kind in (("--account", account, Account), ("--mode", mode, Mode)):
        if value not in get_args(kind):
            allowed = ", ".join(get_args(kind))
            raise typer.BadParameter(f"found {value!r}, allowed: {allowed}", param_hint=option)
    api = connect(namespace, kubeconfig=kubeconfig, context=context)
    return examine_cluster(Examined(api, models, account, mode, os.environ))  # type: ignore[arg-type]


def _show(finding: "Finding") -> None:
    typer.echo(f"{_MARKS[finding.verdict]}  {finding.check}: {finding.found}")
    if finding.mend:
        typer.echo(f"        → {finding.mend}")
