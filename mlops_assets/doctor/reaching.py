"""Whether what the environment names can be reached: object storage, databases, servers, names."""

import socket
import uuid
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from mlops_assets.doctor.cluster_judgement import judge_reachable
from mlops_assets.doctor.finding import Finding, Unanswered

_TIMEOUT_SECONDS = 5.0


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """A finding for each of them."""
    return [
        judge_reachable("names", _resolve(environment), "MLOPS_MLFLOW_URI"),
        judge_reachable("storage", _try_storage(environment), "MLOPS_STORAGE_URI"),
        judge_reachable("database", _ask_database(environment), "DAGSTER_PG_HOST"),
        judge_reachable("mlflow", _ask_mlflow(environment), "MLOPS_MLFLOW_URI"),
    ]


def _resolve(environment: Mapping[str, str]) -> str | Unanswered | None:
    """The names of the servers that the environment speaks of, looked up."""
    names = [urlsplit(environment.get("MLOPS_MLFLOW_URI", "")).hostname]
    names += [environment.get(name) for name in ("DAGSTER_PG_HOST", "MLFLOW_PG_HOST")]
    wanted = sorted({name for name in names if name})
    if not wanted:
        return None
    failed = []
    for name in wanted:
        try:
            socket.getaddrinfo(name, None)
        except OSError as error:
            failed.append(f"{name}: {error}")
    return Unanswered("; ".join(failed)) if failed else f"{', '.join(wanted)} resolve"


def _try_storage(environment: Mapping[str, str]) -> str | Unanswered | None:
    """Whether an object can be written, read and removed."""
    uri = environment.get("MLOPS_STORAGE_URI")
    if not uri:
        return None

    def ask() -> str:
        from mlops_assets.data.filesystems import open_filesystem

        filesystem, path = open_filesystem(f"{uri.rstrip('/')}/doctor-{uuid.uuid4().hex}")
        filesystem.pipe_file(path, b"here")
        try:
            same = filesystem.cat_file(path) == b"here"
        finally:
            filesystem.rm_file(path)
        if not same:
            raise OSError(f"{uri} gives back something else than was written")
        return f"{uri} takes, gives and removes an object"

    return _answer(uri, ask)


def _ask_database(environment: Mapping[str, str]) -> str | Unanswered | None:
    """Whether Dagster's database answers a query."""
    host = environment.get("DAGSTER_PG_HOST")
    if not host:
        return None

    def ask() -> str:
        from sqlalchemy import URL, create_engine, text

        port = int(environment.get("DAGSTER_PG_PORT", "5432"))
        url = URL.create(
            "postgresql",
            username="dagster",  # as in dagster.yaml
            password=environment.get("DAGSTER_PG_PASSWORD"),
            host=host,
            port=port,
            database="dagster",
        )
        limits = {
            "connect_timeout": int(_TIMEOUT_SECONDS),
            "sslmode": environment.get("PGSSLMODE", "prefer"),
        }
        engine = create_engine(url, connect_args=limits)
        try:
            with engine.connect() as connection:
                found = str(connection.execute(text("SHOW server_version")).scalar())
        finally:
            engine.dispose()
        return f"PostgreSQL {found} at {host}:{port} answers"

    return _answer(host, ask)


def _ask_mlflow(environment: Mapping[str, str]) -> str | Unanswered | None:
    """Whether MLflow's server says that it is well."""
    uri = environment.get("MLOPS_MLFLOW_URI")
    if not uri:
        return None

    def ask() -> str:
        import httpx

        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        return f"{uri} answers"

    return _answer(uri, ask)


def _answer(what: str, ask: Callable[[], str]) -> str | Unanswered:
    try:
        return ask()
    except Exception as error:  # of whichever library reaches it; the words are the finding
        words = next(iter(str(error).splitlines()), "")[:300]
        return Unanswered(f"{what}: {type(error).__name__}: {words}")
