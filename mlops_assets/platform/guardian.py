"""A process that outlives a killed `up` just long enough to end all that it had started.

`up` holds the other end of this process's standard input and never writes. When it ends, however
that happens, the kernel closes the pipe, and every process that carries this start's mark is
killed, also those in groups and sessions of their own. After an orderly stop nothing is left to do.
"""

import os
import signal
import sys
from pathlib import Path

from mlops_assets.platform.environment import kill_marked
from mlops_assets.platform.home import Home


def main() -> None:
    """`python -m mlops_assets.platform.guardian HOME INSTANCE`, with a pipe as standard input."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    root, instance = sys.argv[1:]
    while os.read(0, 1024):
        pass
    kill_marked(Home(Path(root)), instance)


if __name__ == "__main__":
    main()
