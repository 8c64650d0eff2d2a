"""The time of a service whose past is played: which moment of the past a real moment stands for.

While `mlops-assets replay` plays a model, callers send in minutes what came in weeks. The processes
that answer know only real time; when their records become rows, real moments are turned into those
of the past, stretch by stretch. A service without a timeline lives in real time.

Kept as `serving/timelines/<service>.json`. The player adds a stretch before it sends anything of
it, and waits for the log between windows, so a few hundred stretches are enough.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from mlops_assets.errors import ServingError
from mlops_assets.serving.home import ServingHome, write_json

_MOST_STRETCHES = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stretch(msgspec.Struct, frozen=True):
    """What is played from a real moment on, until the next stretch.

    Attributes:
        real_ns: The real moment.
        start_us: The moment of the past that it stands for.
        end_us: The moment of the past that is not reached before the next stretch.
        speed: Seconds of the past in a real second.
    """

    real_ns: int
    start_us: int
    end_us: int
    speed: float

    def at(self, real_ns: int) -> int:
        """The moment of the past, in microseconds since 1970."""
        passed = int((real_ns - self.real_ns) / 1000 * self.speed)
        return max(self.start_us, min(self.start_us + passed, self.end_us - 1))


_DECODER = msgspec.json.Decoder(list[Stretch])


@dataclass(frozen=True, slots=True)
class Timeline:
    """Stretches by real time, oldest first; none: real time."""

    stretches: tuple[Stretch, ...] = ()

    def past_ns(self, real_ns: int) -> int:
        """The moment that a real one stands for, both in nanoseconds since 1970."""
        if not self.stretches:
            return real_ns
        place = bisect_right(self.stretches, real_ns, key=lambda stretch: stretch.real_ns)
        return self.stretches[max(place - 1, 0)].at(real_ns) * 1000

    def followed_by(
        self, start: datetime, end: datetime, *, speed: float, real_ns: int
    ) -> "Timeline":
        """With one stretch more, which begins at a real moment."""
        stretch = Stretch(real_ns, _microseconds(start), _microseconds(end), speed)
        return Timeline((*self.stretches, stretch)[-_MOST_STRETCHES:])


def read_timeline(home: ServingHome, service: str) -> Timeline:
    """The timeline of a service; an empty one when it lives in real time.

    Raises:
        ServingError: its file cannot be read.
    """
    path = _path(home, service)
    try:
        return Timeline(tuple(_DECODER.decode(path.read_bytes())))
    except FileNotFoundError:
        return Timeline()
    except (OSError, msgspec.DecodeError) as error:
        raise ServingError(f"{path}: the timeline cannot be read: {error}") from error


def write_timeline(home: ServingHome, service: str, timeline: Timeline) -> None:
    """Keep a timeline; one without stretches is removed."""
    path = _path(home, service)
    if timeline.stretches:
        write_json(path, [msgspec.to_builtins(stretch) for stretch in timeline.stretches])
    else:
        path.unlink(missing_ok=True)


def _path(home: ServingHome, service: str) -> Path:
    return home.root / "timelines" / f"{service}.json"


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
