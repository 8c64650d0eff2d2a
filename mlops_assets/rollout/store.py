"""Where the state of rollouts is kept: one document for each service, changed by one writer a time.

Here: `RolloutStore`, which the file on one machine (`rollout/file_store.py`) and the ConfigMap on a
cluster (`kserve/state_store.py`) implement alike, held to one contract suite.
Not here: what the document says. A store takes any text and gives it back unchanged.
"""

from collections.abc import Sequence
from typing import Protocol


class RolloutStore(Protocol):
    """Keeps a document by service, and refuses a writer who has not seen the last one.

    Every method raises `RolloutError` when the store cannot be reached or refuses.
    """

    def read(self, service: str) -> tuple[str | None, str]:
        """The document and the token of this state of it; `(None, "")` when there is none.

        A token is for `write` alone. Each write gives another one, also when it writes the same.
        """

    def write(self, service: str, content: str, expected: str) -> str:
        """Replace the whole document, all or nothing; returns the token of what was written.

        Args:
            service: Whose rollout.
            content: The document; up to 500 kB of UTF-8.
            expected: Token of the state that the writer has read; "" when there was none.

        Raises:
            StateConflictError: it is another state by now; nothing was written. Read again.
        """

    def delete(self, service: str) -> None:
        """Forget a service's document. One that is not there is fine."""

    def services(self) -> Sequence[str]:
        """Names of the services that have a document, sorted."""
