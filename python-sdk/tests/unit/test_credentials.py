"""Which token a client shows, and where `udfleet up` keeps its own."""

from __future__ import annotations

import pickle
import stat

import pytest
from click.testing import CliRunner

from udfleet import InvalidConfigError, InvalidInputError, _credentials
from udfleet import _fleet_record as record
from udfleet._client.fleet import Fleet, connect
from udfleet._credentials import TokenSource, find_token, followed_file
from udfleet.cli.main import cli


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    monkeypatch.delenv("UDFLEET_TOKEN", raising=False)
    monkeypatch.delenv("UDFLEET_TOKEN_FILE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_what_is_given_goes_over_the_environment(monkeypatch, tmp_path):
    assert find_token(None, ["127.0.0.1:1"]) is None
    file = tmp_path / "token"
    file.write_text("from-file\n")
    monkeypatch.setenv("UDFLEET_TOKEN_FILE", str(file))
    assert find_token(None, []) == "from-file"
    monkeypatch.setenv("UDFLEET_TOKEN", "from-variable")
    assert find_token(None, []) == "from-variable"
    assert find_token("given", []) == "given"


def test_a_file_without_a_token_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("UDFLEET_TOKEN_FILE", str(tmp_path / "nothing"))
    with pytest.raises(InvalidConfigError, match="nothing"):
        find_token(None, [])


def test_the_token_of_a_fleet_of_this_machine_is_found_while_it_runs(tmp_path):
    with record.recorded("127.0.0.1:1", "secret"):
        (kept,) = tmp_path.rglob("*.token")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert find_token(None, ["127.0.0.1:9", "127.0.0.1:1"]) == "secret"
        assert find_token(None, ["127.0.0.1:9"]) is None
    assert not kept.exists()
    # A fleet that was killed leaves its files: whoever listens there now is sent nothing.
    kept.write_text("secret")
    assert find_token(None, ["127.0.0.1:1"]) is None


def test_a_file_is_read_again_when_it_changes(monkeypatch, tmp_path):
    monkeypatch.setattr(_credentials, "LOOK_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text("first\n")
    monkeypatch.setenv("UDFLEET_TOKEN_FILE", str(file))
    assert followed_file("given") is None
    followed = followed_file(None)
    assert followed == str(file)
    source = TokenSource(find_token(None, []), followed)
    assert source.current() == "first"
    for text, expected in [("second\nfirst\n", "second"), ("\n", "second"), ("third token", "third token")]:
        beside = tmp_path / "new"
        beside.write_text(text)
        beside.replace(file)
        assert source.current() == expected
    file.unlink()
    assert source.current() == "third token"
    monkeypatch.setenv("UDFLEET_TOKEN", "from-variable")
    assert followed_file(None) is None


def test_connections_follow_the_file_that_they_are_given(monkeypatch, tmp_path):
    monkeypatch.setattr(_credentials, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(Fleet, "check", lambda self: "0.1.0")
    file = tmp_path / "token"
    file.write_text("first\n")
    with connect("h:1", token_file=file) as fleet:
        assert fleet._rpc.token == "first"
        settings = pickle.loads(pickle.dumps(fleet._settings))
        file.write_text("second token\nfirst\n")
        assert fleet._rpc.token == "second token"
        elsewhere = settings.fleet()
        assert elsewhere._rpc.token == "second token"
        elsewhere.close()
    file.unlink()
    with connect("h:1", "given", token_file=file) as fleet:
        assert fleet._rpc.token == "given", "a machine without the file goes on with the token"
    with pytest.raises(InvalidConfigError):
        connect("h:1", token_file=file)
    with pytest.raises(InvalidInputError):
        connect("h:1", token_file=7)


@pytest.mark.parametrize("how", ["option", "variable"])
def test_commands_follow_the_file(monkeypatch, tmp_path, how):
    monkeypatch.setattr(_credentials, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(Fleet, "check", lambda self: "0.1.0")
    file = tmp_path / "token"
    file.write_text("first\n")
    if how == "variable":
        monkeypatch.setenv("UDFLEET_TOKEN_FILE", str(file))
    else:
        monkeypatch.setenv("UDFLEET_TOKEN", "the option goes over it")
    seen = []

    def logs(self, *_):
        seen.append(self._rpc.token)
        file.write_text("second token\n")
        seen.append(self._rpc.token)
        return iter(())

    monkeypatch.setattr(Fleet, "logs", logs)
    done = CliRunner().invoke(cli, [*(["--token-file", str(file)] if how == "option" else []), "logs", "--follow"])
    assert done.exit_code == 0
    assert seen == ["first", "second token"]
