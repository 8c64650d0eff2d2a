"""The memory of a pod in dagster-k8s's settings."""

from dagster_k8s.container_context import K8sContainerContext  # noqa: TID253
from dagster_k8s.job import UserDefinedDagsterK8sConfig  # noqa: TID253

from mlops_assets.spec.quantity import memory_bytes


def memory_limit(config: UserDefinedDagsterK8sConfig) -> str | None:
    """What its container may take; None: there is no limit."""
    limits = (config.container_config.get("resources") or {}).get("limits") or {}
    memory: str | None = limits.get("memory")
    return memory


def at_least(context: K8sContainerContext, least: str | None) -> K8sContainerContext:
    """The same settings with a limit that is not below this one; None: there is no such."""
    limit = memory_limit(context.run_k8s_config)
    if least is None or limit is None or memory_bytes(limit) >= memory_bytes(least):
        return context
    config = {"container_config": {"resources": {"limits": {"memory": least}}}}
    more = K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(config))
    return context.merge(more)


def with_memory(context: K8sContainerContext, memory: str | None) -> K8sContainerContext:
    """The same settings with another amount of memory, asked for and allowed; None changes none."""
    if memory is None:
        return context
    amounts = {"requests": {"memory": memory}, "limits": {"memory": memory}}
    config = {"container_config": {"resources": amounts}}
    more = K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(config))
    return context.merge(more)
