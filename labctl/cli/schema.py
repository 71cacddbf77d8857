"""labctl schema: the JSON Schema of a file format, for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from labctl.cli.console import out_json

__all__ = ["SchemaKind", "command", "schema"]


class SchemaKind(StrEnum):
    """What there is a schema of."""

    TOPOLOGY = "topology"
    SCENARIO = "scenario"
    JOURNAL = "journal"
    RESULT = "result"


def command(
    kind: Annotated[
        SchemaKind, typer.Argument(metavar="topology|scenario|journal|result", help="Format to describe.")
    ],
) -> None:
    """Print the JSON Schema of a file format.

    The same models check the files; the schema of a journal describes one line. An editor can use the
    schema: in VS Code, save it to a file and name that file under yaml.schemas in the settings.
    """
    out_json(schema(kind))


def schema(kind: SchemaKind) -> dict[str, Any]:
    """The JSON Schema (2020-12) of topologies, scenarios, a journal's lines or results."""
    if kind is SchemaKind.TOPOLOGY:
        from labctl.load.schema import json_schema as topology_schema
        from labctl.roles.catalog import load_roles

        roles = load_roles()
        keys = dict.fromkeys(key for role in roles.values() for key in role.node_keys)
        return topology_schema(tuple(keys), tuple(roles))
    if kind is SchemaKind.SCENARIO:
        from labctl.scenario.schema import json_schema as scenario_schema

        return scenario_schema()
    if kind is SchemaKind.JOURNAL:
        from labctl.journal.schema import json_schema as journal_schema

        return journal_schema()
    from labctl.verdict.schema import json_schema as result_schema

    return result_schema()
