"""What the platform knows of the watching of its models: verdicts, decisions, requests."""

from pathlib import Path

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import DocumentError, MonitoringError, PlatformError, RetrainingError
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.platform.evidence import read_record
from mlops_assets.platform.home import Home
from mlops_assets.platform.models import require_known
from mlops_assets.retraining.state import Request
from mlops_assets.retraining.store import RetrainingStore


def open_documents(home: Home) -> ModelDocuments:
    """Where verdicts and states are kept."""
    return ModelDocuments(str(home.root / "monitoring"))


def ask_retraining(home: Home, project: Path, model: str, request: Request) -> None:
    """Write down a person's wish to train a model again.

    Raises:
        PlatformError: there is no such model, or it has no champion yet.
    """
    require_known(home, project, model)
    if read_record(home, model, "inference_service") is None:
        raise PlatformError(
            f"{model} has no champion yet; `mlops-assets up --model {model}` trains it"
        )
    RetrainingStore(open_documents(home)).ask(model, request)


def last_verdict(home: Home, model: str) -> str | None:
    """The verdict on the newest judged window in one line; None before the first."""
    try:
        latest = MonitoringStore(open_documents(home)).recent(model).latest
    except (DocumentError, MonitoringError) as error:
        return str(error)
    if latest is None:
        return None
    facts = latest.verdict.window
    return f"{latest.window.key}: {latest.verdict.verdict} ({facts.n_rows:,} rows)"


def last_decision(home: Home, model: str) -> str | None:
    """What retraining decided last, in one line; None before the first decision."""
    try:
        state = RetrainingStore(open_documents(home)).read(model)
    except (DocumentError, RetrainingError) as error:
        return str(error)
    if state is None or not state.rule:
        return None
    return f"{state.rule}: {state.reason}"


def forget_retraining(home: Home, model: str) -> bool:
    """Remove a model's state of retraining and what people asked; whether there was any. The
    verdicts stay, as evidence."""
    return RetrainingStore(open_documents(home)).forget(model)
