"""Names of secrets: which can be given, and which go together with variables."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import udfleet
from udfleet import DataTypes, Environment, _secret_names, errors, udf
from udfleet.cli.main import cli


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "UDFLEET_TOKEN"])
def test_the_interpreters_own_variables_can_not_be_secrets_of_a_fleet(name):
    with pytest.raises(errors.InvalidConfigError, match=name):
        udfleet.local(secrets={name: "value"})


def test_nor_on_the_command_line():
    done = CliRunner().invoke(
        cli, ["up", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--secret", "PATH"]
    )
    assert done.exit_code != 0
    assert "PATH" in done.output + str(done.exception)


def test_names_are_those_of_variables():
    # The same as in proto/src/secrets.
    assert all(map(_secret_names.is_name, ["OPENAI_API_KEY", "_x", "a1"]))
    assert not any(map(_secret_names.is_name, ["", "1A", "a-b", "../x", "a.b", "X" * 129, 7]))


def test_a_name_is_a_variable_or_a_secret():
    with pytest.raises(errors.InvalidDefinitionError, match="KEY"):
        Environment(env={"KEY": "plain"}, secrets=["KEY"])


def test_also_where_the_function_names_the_secret(cluster):
    @udf(result_type=DataTypes.BIGINT())
    def same(value: int) -> int:
        return value

    with pytest.raises(errors.InvalidDefinitionError, match="KEY"):
        cluster.fleet.register_function("same", same, environment=Environment(env={"KEY": "plain"}), secrets=["KEY"])
