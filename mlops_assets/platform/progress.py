"""What people see while the platform comes up: on standard error, never on standard output.

On a terminal, one line for each model and server that changes in place; elsewhere a plain line for
each event, with the seconds since the start.
"""

import time
from dataclasses import dataclass, field
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mlops_assets.platform.events import (
    Event,
    Message,
    ModelMade,
    Models,
    Planned,
    StepEnded,
    StepStarted,
)

ServerState = Literal["starting", "ready"]


@dataclass(slots=True)
class _Line:
    """Where one model stands."""

    text: str = "waiting"
    steps: list[str] = field(default_factory=list)
    n_done: int = 0
    started_at: float | None = None  # of the step that runs


class Progress:
    """Shows events as they come. Used by one thread.

    Args:
        console: Of standard error.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._models: dict[str, _Line] = {}
        self._servers: dict[str, tuple[ServerState, str]] = {}
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render, console=self._console, refresh_per_second=4
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()

    def settle(self) -> None:
        """Leaves the last picture as it is; what is said later stands below it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """A message that stays."""
        self._console.print(Text(text), soft_wrap=True)

    def show_server(self, name: str, state: ServerState, url: str) -> None:
        """A server's state."""
        if self._servers.get(name) != (state, url):
            self._servers[name] = (state, url)
            if self._live is None:
                self._plain(f"{name} {state} {url}")

    def show(self, event: Event) -> None:
        """An event of the materializing process."""
        match event:
            case Message():
                self.say(event.text)
            case Models():
                self._models = {model: _Line() for model in event.models}
                for model in event.retired:
                    self.say(f"{model}: retired, skipped (`mlops-assets up --model {model}`)")
            case Planned() | StepStarted() | StepEnded() | ModelMade():
                self._follow(self._models.setdefault(event.model, _Line()), event)

    def show_result(self, model: str, line: str) -> None:
        """The result of a model."""
        entry = self._models.setdefault(model, _Line())
        entry.text, entry.started_at = line.removeprefix(f"{model}: "), None
        if self._live is None:
            self._plain(line)

    def _follow(self, line: _Line, event: Planned | StepStarted | StepEnded | ModelMade) -> None:
        match event:
            case Planned():
                line.steps, line.n_done = list(event.reasons), 0
                for reason in dict.fromkeys(event.reasons.values()):
                    steps = [step for step, why in event.reasons.items() if why == reason]
                    self._plain_only(f"{event.model} {', '.join(steps)}: stale, since {reason}")
            case StepStarted():
                line.started_at = time.monotonic()
                n, m = line.n_done + 1, max(len(line.steps), line.n_done + 1)
                line.text = f"{event.step}, {n} of {m}"
                self._plain_only(f"{event.model} {event.step}: begins, {n} of {m}")
            case StepEnded():
                line.n_done += 1
                line.started_at = None
                word = "done" if event.ok else "failed"
                line.text = f"{event.step} {word}"
                self._plain_only(f"{event.model} {event.step}: {word} in {event.seconds:.1f} s")
            case ModelMade():
                line.started_at = None
                line.text = "asking the service" if event.version is not None else "judging"

    def _plain_only(self, text: str) -> None:
        if self._live is None:
            self._plain(text)

    def _plain(self, text: str) -> None:
        elapsed = time.monotonic() - self._began
        self._console.print(Text(f"{elapsed:6.1f} s  {text}"), soft_wrap=True)

    def _render(self) -> Table:
        elapsed = time.monotonic() - self._began
        table = Table.grid(padding=(0, 2))
        for name, (state, url) in self._servers.items():
            style = "green" if state == "ready" else "yellow"
            table.add_row(Text(name), Text(state, style=style), Text(url))
        for model, line in self._models.items():
            running = ""
            if line.started_at is not None:
                running = f"{time.monotonic() - line.started_at:.0f} s"
            table.add_row(Text(model, style="bold"), Text(running), Text(line.text))
        table.add_row(Text(f"{elapsed:.0f} s", style="dim"))
        return table
