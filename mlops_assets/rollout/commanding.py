"""What people tell a rollout: written into its state, acted on by the next tick."""

from mlops_assets.errors import RolloutError, StateConflictError
from mlops_assets.rollout.state import Command, RolloutState
from mlops_assets.rollout.store import RolloutStore

_MOST_TRIES = 20  # a tick writes once per interval, so the second try is the last


def give_command(store: RolloutStore, service: str, command: Command) -> RolloutState:
    """Write a command down, with who said it, when and why; returns the state that holds it.

    Raises:
        RolloutError: there is no rollout, or it is over.
    """
    for _ in range(_MOST_TRIES):
        content, token = store.read(service)
        if content is None:
            raise RolloutError(f"{service} has no rollout")
        state = RolloutState.from_storage(content)
        may_return = state.phase == "succeeded" and not state.standby_released
        if state.is_ended and not (may_return and command.kind in ("rollback", "abort")):
            over = f"the rollout of v{state.challenger.version} is over"
            raise RolloutError(f"{over} ({state.phase}): {state.reason}")
        told = state.with_command(command)
        try:
            store.write(service, told.to_storage(), token)
        except StateConflictError:
            continue
        return told
    raise RolloutError(f"{service}: others keep writing its rollout; try again")
