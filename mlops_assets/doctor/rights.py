"""Which rights the platform's accounts use on a cluster; a test holds them against the calls that
the code makes and the Roles in `k8s/base`: nothing missing, nothing spare."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mlops_assets.kserve.capabilities import Mode

Account = Literal["run", "daemon", "webserver", "code-location"]
"""The service accounts `dagster-<account>`."""
Where = Literal["platform", "models"]
"""The namespace of the platform, or that of the InferenceServices."""


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, such as `get` on `pods/log`."""

    verb: str
    group: str
    resource: str
    where: Where

    @property
    def words(self) -> str:
        """As people write it."""
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


_Table = tuple[tuple[str, str, str], ...]  # group, resource, verbs
_RUNS: Mapping[Account, _Table] = {
    "webserver": (("batch", "jobs", "delete"),),
    "daemon": (
        ("batch", "jobs", "create list delete"),
        ("batch", "jobs/status", "get"),
        ("", "pods", "list delete"),
        ("", "pods/log", "get"),
        ("", "events", "list"),
    ),
    "run": (
        ("batch", "jobs", "create delete"),
        ("batch", "jobs/status", "get"),
        ("", "pods", "list"),
        ("", "events", "list"),
    ),
    "code-location": (),
}
_SERVING: Mapping[Account, _Table] = {
    "run": (
        ("serving.kserve.io", "inferenceservices", "get create patch delete"),
        ("", "configmaps", "get list create update delete"),
        ("apps", "deployments", "list"),
        ("", "pods", "list"),
        ("", "pods/log", "get"),
        ("", "pods/proxy", "get create"),
    ),
    "code-location": (
        ("serving.kserve.io", "inferenceservices", "get"),
        ("", "configmaps", "get update"),
        ("apps", "deployments", "list"),
        ("", "pods", "list"),
        ("", "pods/log", "get"),
        ("", "pods/proxy", "get create"),
    ),
    "daemon": (),
    "webserver": (),
}


_ROUTER: Mapping[Mode, _Table] = {
    "Standard": (("gateway.networking.k8s.io", "httproutes", "get"),),
    "Knative": (("serving.knative.dev", "revisions", "list"),),
}
"""What says who gets which share, for those that look at services."""


def rights_of(account: Account, mode: Mode = "Standard") -> Iterator[Right]:
    """The rights that an account uses where KServe runs services in this mode."""
    serving = _SERVING[account]
    tables: tuple[tuple[Where, _Table], ...] = (
        ("platform", _RUNS[account]),
        ("models", serving + (_ROUTER[mode] if serving else ())),
    )
    for where, table in tables:
        for group, resource, verbs in table:
            for verb in verbs.split():
                yield Right(verb, group, resource, where)
