"""What facts of a cluster mean. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.doctor.finding import Finding, Unanswered, Verdict
from mlops_assets.doctor.rights import Right
from mlops_assets.errors import ServingError
from mlops_assets.kserve.capabilities import Capabilities, Mode, require_mode, require_shares

OLDEST, NEWEST_TRIED = (1, 32), (1, 37)
"""Kubernetes: KServe 0.21 asks for 1.32; manifests are checked against 1.37's schemas."""

_HOW = "docs/kubernetes.md, Install; on kind alone: k8s/kind/install.sh"
_ASK_OUTSIDE = (
    "an administrator's `mlops-assets doctor --cluster` may see what this account may not"
)
_KSERVE_KINDS = {
    "serving.kserve.io/v1beta1": f"KServe ({_HOW} kserve)",
    "serving.kserve.io/v1alpha1": f"KServe with its ServingRuntimes ({_HOW} kserve)",
}
NEEDED_KINDS: Mapping[Mode, Mapping[str, str]] = {
    "Standard": {
        **_KSERVE_KINDS,
        "gateway.networking.k8s.io/v1": f"Gateway API ({_HOW} gateway)",
    },
    "Knative": {
        **_KSERVE_KINDS,
        "serving.knative.dev/v1": f"Knative Serving ({_HOW} knative)",
    },
}
WANTED_KINDS: Mapping[str, str] = {
    "cert-manager.io/v1": "cert-manager, which KServe's webhooks get their certificate from",
    "monitoring.coreos.com/v1": "the Prometheus operator; without it leave observability out",
}
_SKEW_SECONDS, _SKEW_SECONDS_AT_MOST = 2.0, 30.0


def judge_api_server(version: str | Unanswered) -> Finding:
    """The API server, by the version that it names."""
    check = "api server"
    if isinstance(version, Unanswered):
        mend = "kubectl cluster-info; is KUBECONFIG right, and is there a way to the API server?"
        return Finding(check, "broken", version.reason, mend)
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None:
        return Finding(check, "unknown", f"version {version!r} cannot be read", "kubectl version")
    number = (int(found[1]), int(found[2]))
    if number < OLDEST:
        mend = f"upgrade the cluster to {OLDEST[0]}.{OLDEST[1]} or newer"
        return Finding(check, "broken", f"Kubernetes {version}", mend)
    if number > NEWEST_TRIED:
        newest = f"{NEWEST_TRIED[0]}.{NEWEST_TRIED[1]}"
        mend = f"manifests were checked against schemas up to {newest}; look for removed APIs"
        return Finding(check, "warning", f"Kubernetes {version}", mend)
    return Finding(check, "fine", f"Kubernetes {version}")


def judge_kinds(served: Mapping[str, bool | Unanswered], mode: Mode) -> list[Finding]:
    """The API groups that must be there, and those that are missed."""
    found = []
    for group, answer in served.items():
        check, what = f"kinds of {group.split('/')[0]}", NEEDED_KINDS[mode].get(group)
        if isinstance(answer, Unanswered):
            mend = f"kubectl get --raw /apis/{group}"
            found.append(Finding(check, "unknown", answer.reason, mend))
        elif answer:
            found.append(Finding(check, "fine", group))
        elif what is not None:
            found.append(Finding(check, "broken", f"{group} is not served", f"install {what}"))
        else:
            mend = f"install {WANTED_KINDS[group]}"
            found.append(Finding(check, "warning", f"{group} is not served", mend))
    return found


def judge_capabilities(found: Capabilities | str | Unanswered, mode: Mode) -> Finding:
    """What KServe can do for a rollout; words say why there is none."""
    if isinstance(found, Unanswered):
        mend = "kubectl get --raw /openapi/v3/apis/serving.kserve.io/v1beta1"
        return Finding("kserve", "unknown", found.reason, mend)
    if isinstance(found, str):
        return Finding("kserve", "broken", found, f"install KServe 0.21 or newer ({_HOW} kserve)")
    try:
        require_mode(found, mode)
        require_shares(found, mode, 1)
    except ServingError as error:
        return Finding("kserve", "broken", str(error), f"set KServe up as {_HOW} kserve")
    return Finding("kserve", "fine", f"{found.release}; rollouts in mode {mode}")


def judge_rights(account: str, answers: Mapping[Right, bool | Unanswered]) -> Finding:
    """Whether the account may do what it is used for; all that is missing, at once, also when
    some of it could not be asked for."""
    check = f"rights of {account}"
    missing = [
        f"{right.words} ({right.where})" for right, allowed in answers.items() if not allowed
    ]
    if missing:
        mend = "apply the Roles and RoleBindings of k8s/base again (access.yaml)"
        return Finding(check, "broken", f"missing: {', '.join(missing)}", mend)
    unknown = [a.reason for a in answers.values() if isinstance(a, Unanswered)]
    if unknown:
        return Finding(check, "unknown", unknown[0], "kubectl auth can-i --list")
    return Finding(check, "fine", f"all {len(answers)} that the code uses")


def judge_there(check: str, there: bool | Unanswered, what: str, mend: str) -> Finding:
    """An object that must be there."""
    if isinstance(there, Unanswered):
        return Finding(check, "unknown", there.reason, _ASK_OUTSIDE)
    if not there:
        return Finding(check, "broken", f"{what} is not there", mend)
    return Finding(check, "fine", what)


def judge_webhook(answer: str | Unanswered) -> Finding:
    """KServe's webhook, by its words to a service declared for trial; "" when it takes it."""
    check = "kserve webhook"
    if isinstance(answer, Unanswered):
        return Finding(
            check, "unknown", answer.reason, f"look at the findings before this one; {_ASK_OUTSIDE}"
        )
    if "failed calling webhook" in answer or "no endpoints available" in answer:
        mend = (
            "kubectl -n kserve get pods,endpointslices,certificates: the controller must run, and "
            "cert-manager must have issued its certificate"
        )
        return Finding(check, "broken", answer, mend)
    if answer:
        return Finding(check, "broken", answer, "a service was refused for what is in it")
    return Finding(check, "fine", "takes a service (dry run)")


def judge_clock(server: datetime | Unanswered, now: datetime) -> Finding:
    """This clock against the API server's. Tokens and certificates are judged by both."""
    check = "clock"
    if isinstance(server, Unanswered):
        return Finding(check, "unknown", server.reason, "compare `date -u` here and on a node")
    seconds = abs((now - server).total_seconds())
    found = f"{seconds:.0f} s from the API server's"
    if seconds <= _SKEW_SECONDS:
        return Finding(check, "fine", found)
    verdict: Verdict = "warning" if seconds <= _SKEW_SECONDS_AT_MOST else "broken"
    mend = "run NTP on the nodes and here: tokens are refused when clocks differ, windows are wrong"
    return Finding(check, verdict, found, mend)


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet: pods that should be available, that are, and why not."""

    name: str  # with its kind, as kubectl takes it: deployment/mlflow
    wanted: int
    available: int
    reason: str = ""


def judge_workloads(found: Sequence[Workload] | Unanswered) -> Finding:
    """The platform's own Deployments and StatefulSets."""
    check = "platform pods"
    if isinstance(found, Unanswered):
        mend = f"kubectl -n mlops get deployments,statefulsets; {_ASK_OUTSIDE}"
        return Finding(check, "unknown", found.reason, mend)
    if not found:
        mend = "kubectl apply -k k8s/overlays/<overlay>"
        return Finding(check, "broken", "there is no workload of the platform", mend)
    down = [each for each in found if each.available < each.wanted]
    if down:
        words = "; ".join(
            f"{each.name}: {each.available} of {each.wanted} {each.reason}".strip() for each in down
        )
        mend = f"kubectl -n mlops describe {down[0].name}, then its pods"
        return Finding(check, "broken", words, mend)
    return Finding(check, "fine", f"{len(found)} Deployments and StatefulSets are available")


def judge_reachable(check: str, answer: str | Unanswered | None, setting: str) -> Finding:
    """Something that a setting names: storage, a database, a server. None: it names nothing."""
    if answer is None:
        mend = (
            "ask from inside: kubectl -n mlops exec deploy/dagster-code-location -- "
            "mlops-assets doctor --cluster --account code-location"
        )
        return Finding(check, "unknown", f"{setting} is not set here", mend)
    if isinstance(answer, Unanswered):
        mend = f"is {setting} right, does its name resolve, does a NetworkPolicy allow the way?"
        return Finding(check, "broken", answer.reason, mend)
    return Finding(check, "fine", answer)
