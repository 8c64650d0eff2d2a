"""How much the tests beyond units do: a little in `make test`, much in the nightly profile.

`make nightly` runs them at length: `pytest --hypothesis-profile=nightly --timeout=10800`.
"""

from hypothesis import HealthCheck, settings


def scaled(quick: int, nightly: int) -> int:
    """The first number in `make test`, the second in the nightly profile."""
    return nightly if settings.get_current_profile_name() == "nightly" else quick


def fuzzing(quick: int, nightly: int) -> settings:
    """Settings of a test that tries so many examples."""
    return settings(
        max_examples=scaled(quick, nightly),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,  # a written example for each failure is in the test, not on the disk
    )
