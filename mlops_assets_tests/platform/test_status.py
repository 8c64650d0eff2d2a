"""How it stands, with and without a running platform."""

from datetime import UTC, datetime

from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import hold
from mlops_assets.platform.results import ModelResult, Results
from mlops_assets.platform.retirement import mark_retired
from mlops_assets.platform.status import read_status
from mlops_assets_tests.platform.conftest import Tiny
from mlops_assets_tests.platform.test_probe import gateway


def test_an_empty_home_has_nothing_to_tell(tiny: Tiny) -> None:
    found = read_status(Home(tiny.home.root / "nowhere"), tiny.project)
    assert (found.pid, found.servers, found.processes, found.models) == (None, [], [], [])


def test_a_stopped_platform_tells_what_it_knows(tiny: Tiny) -> None:
    tiny.behave(gate=False)
    tiny.materialize()
    result = ModelResult(
        model="apple",
        outcome="refused",
        reason="gate: 0.49",
        version=None,
        refused={"gate": "0.49"},
        service=None,
        example=[],
        made=[],
        seconds=1,
    )
    written = Results(finished_at="2026-01-01", models=[result]).model_dump_json()
    tiny.home.results.write_text(written)
    mark_retired(tiny.home, "apple", datetime(2026, 1, 2, tzinfo=UTC))
    apple, pear = read_status(tiny.home, tiny.project).models
    assert (apple.state, apple.last_result) == ("retired", "apple: refused: gate: 0.49")
    assert apple.reason == "since 2026-01-02T00:00:00+00:00"
    assert (pear.state, pear.snapshot, pear.n_rows, pear.champion) == ("stopped", 1, 1, None)


def test_a_running_platform_is_asked(tiny: Tiny) -> None:
    tiny.materialize("pear")
    answer = '{"predictions": [0], "model_version": "1"}'
    with hold(tiny.home.lock, "tiny") as lock, gateway(200, answer) as url:
        lock.publish({"gateway": url})
        found = read_status(tiny.home, tiny.project)
    assert found.pid == lock.holder.pid
    assert [(server.name, server.answers) for server in found.servers] == [("gateway", True)]
    assert [(m.model, m.state, m.version) for m in found.models] == [("pear", "answers", 1)]
