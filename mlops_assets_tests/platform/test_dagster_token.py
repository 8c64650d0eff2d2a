from pathlib import Path

import pytest
from requests import PreparedRequest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.dagster_token import TokenCommand

URL = "https://dagster.example.com"


def shown(token: TokenCommand) -> str:
    request = PreparedRequest()
    request.prepare("POST", URL, auth=token)
    return str(request.headers["Authorization"])


def test_a_token_is_asked_for_again_before_it_ends(tmp_path: Path) -> None:
    now = 1000.0
    (tmp_path / "token").write_text("first\n")
    token = TokenCommand(f"cat {tmp_path / 'token'}", URL, clock=lambda: now)
    assert shown(token) == "Bearer first"
    (tmp_path / "token").write_text("second\n")
    now += 59
    assert shown(token) == "Bearer first"
    now += 1
    assert shown(token) == "Bearer second"


@pytest.mark.parametrize("printed", ["", "two words", "two\\nlines", "\\303\\274"])
def test_what_is_no_token_is_refused_and_not_repeated(printed: str) -> None:
    with pytest.raises(PlatformError, match="one line with the token alone") as told:
        shown(TokenCommand(f"printf '{printed}'", URL))
    assert "words" not in str(told.value)


def test_a_command_that_hangs_is_ended_and_not_repeated() -> None:
    with pytest.raises(PlatformError, match=r"took over 0\.1 s") as told:
        shown(TokenCommand("sleep 30 # secret", URL, seconds=0.1))
    assert told.value.__cause__ is None


def test_a_token_goes_over_no_network_in_plain_text() -> None:
    with pytest.raises(PlatformError, match="https only"):
        TokenCommand("echo a", "http://dagster.example.com")
    for here in ("http://127.0.0.1:3000", "http://[::1]:3000", "http://localhost"):
        TokenCommand("echo a", here)
