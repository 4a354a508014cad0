"""streams, and the group state: what streams through functions with keyed state keep."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import click

from .._terminal import visible
from . import output
from .shared import connected, json_option
from .tables import table

if TYPE_CHECKING:
    from .._client.stream_state import StreamState


@click.command(short_help="Streams that keep state for each key.")
@json_option
@click.pass_context
def streams(ctx: click.Context, as_json: bool) -> None:
    """Streams through functions with keyed state: where they stand, and who has them open."""
    with connected(ctx) as fleet:
        found = fleet.streams()
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.say("no streams")
        return
    rows = [
        (
            view.id,
            view.function,
            view.partitions,
            view.position,
            "open" if view.is_open else "closed" if view.is_usable else "unusable",
            view.holder,
            view.coordinator,
            view.opened.astimezone().isoformat(" ", "seconds") if view.opened else "",
        )
        for view in found
    ]
    table(("STREAM", "FUNCTION", "PARTITIONS", "POSITION", "STATE", "HOLDER", "COORDINATOR", "SINCE"), rows)


@click.group(short_help="Read, export, import and drop the state of streams.")
def state() -> None:
    """The state that streams keep for each key. What is shown is committed."""


@state.command("ls", short_help="The keys of a stream.")
@click.argument("stream")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many keys.")
@json_option
@click.pass_context
def list_keys(ctx: click.Context, stream: str, limit: int, as_json: bool) -> None:
    """The keys of STREAM with their states."""
    with connected(ctx) as fleet:
        held = fleet.stream_state(stream)
        found = list(itertools.islice(held.items(), limit + 1))
    shown = found[:limit]
    if as_json:
        output.print_json([{"key": _shown(key), "states": _shown(values)} for key, values in shown])
    else:
        names = sorted({name for _, values in shown for name in values})
        rows = [
            (_line(key), *(_line(values[name]) if name in values else "" for name in names)) for key, values in shown
        ]
        table(("KEY", *names), rows)
    if len(found) > limit:
        output.say(f"there are more: --limit {limit * 10}")


@state.command("get", short_help="The state of one key.")
@click.argument("stream")
@click.argument("key")
@click.option("--state", "name", metavar="NAME", help="This state only.")
@json_option
@click.pass_context
def get(ctx: click.Context, stream: str, key: str, name: str | None, as_json: bool) -> None:
    """The state of KEY in STREAM.

    KEY is JSON, or the text itself where keys are texts; of several columns it is a JSON array.
    """
    with connected(ctx) as fleet:
        held = fleet.stream_state(stream)
        found = held.get(_key(held, key), name)
    if as_json:
        output.print_json(_shown(found))
    elif name is None:
        table(("STATE", "VALUE"), [(state, _line(value)) for state, value in found.items()])
    else:
        click.echo(visible(_line(found)))


@state.command("export", short_help="Write a stream into a file.")
@click.argument("stream")
@click.argument("file", type=click.Path(dir_okay=False))
@json_option
@click.pass_context
def export(ctx: click.Context, stream: str, file: str, as_json: bool) -> None:
    """Write STREAM into a new Arrow FILE, as of one moment. It may be open meanwhile."""
    with connected(ctx) as fleet:
        view = fleet.export_stream(stream, file)
    if as_json:
        output.print_json(view)
    else:
        output.say(f"exported {view.id} of {view.function}, at position {view.position}")


@state.command("import", short_help="Make a stream of such a file.")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--as", "stream", metavar="STREAM", help="Its id; without: that which it had.")
@json_option
@click.pass_context
def restore(ctx: click.Context, file: str, stream: str | None, as_json: bool) -> None:
    """Make a stream of FILE. Nothing is overwritten."""
    with connected(ctx) as fleet:
        view = fleet.import_stream(file, stream)
    if as_json:
        output.print_json(view)
    else:
        output.say(f"imported {view.id} of {view.function}, at position {view.position}")


@state.command("drop", short_help="Delete a stream with its state.")
@click.argument("stream")
@click.option("--force", is_flag=True, help="Also where a client has it open.")
@json_option
@click.pass_context
def drop(ctx: click.Context, stream: str, force: bool, as_json: bool) -> None:
    """Delete STREAM with its state."""
    with connected(ctx) as fleet:
        fleet.drop_stream(stream, force=force)
    if as_json:
        output.print_json({"dropped": stream})
    else:
        output.say(f"dropped {stream}")


def _key(held: StreamState, text: str) -> Any:
    import pyarrow as pa

    only = held.key_schema.field(0).type
    if len(held.key_schema) == 1 and (pa.types.is_string(only) or pa.types.is_large_string(only)):
        return text
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is no JSON: {error}") from None
    return tuple(value) if isinstance(value, list) and len(held.key_schema) > 1 else value


def _shown(value: Any) -> Any:
    """Values as JSON has them; maps whose keys are no texts are lists of pairs."""
    from ..row import Row

    if isinstance(value, Row):
        return _shown(value.as_dict(recursive=False)) if value.get_field_names() else [_shown(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _shown(item) for key, item in value.items()}
        return [[_shown(key), _shown(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [_shown(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return value


def _line(value: Any) -> str:
    shown = _shown(value)
    return shown if isinstance(shown, str) else json.dumps(shown, default=str)
