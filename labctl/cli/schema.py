"""labctl schema: the JSON Schema of a file format, for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from labctl.cli.console import out_json

__all__ = ["Kind", "command", "schema"]


class Kind(StrEnum):
    """What there is a schema of."""

    TOPOLOGY = "topology"
    SCENARIO = "scenario"
    JOURNAL = "journal"
    RESULT = "result"


def command(
    kind: Annotated[
        Kind, typer.Argument(metavar="topology|scenario|journal|result", help="What the schema is wanted of.")
    ],
) -> None:
    """Print the JSON Schema of a file format.

    It comes from the same models that check the files; that of a journal is of one line. In VS Code,
    for example, put it in a file and name that under yaml.schemas in the settings.
    """
    out_json(schema(kind))


def schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (2020-12) of topologies, scenarios, a journal's lines or results."""
    if kind is Kind.TOPOLOGY:
        from labctl.load.roles import known_roles
        from labctl.load.schema import json_schema as topology_schema

        roles = known_roles()
        keys = dict.fromkeys(key for role in roles.values() for key in role.node_keys)
        return topology_schema(tuple(keys), tuple(roles))
    if kind is Kind.SCENARIO:
        from labctl.scenario.schema import json_schema as scenario_schema

        return scenario_schema()
    if kind is Kind.JOURNAL:
        from labctl.journal.schema import json_schema as journal_schema

        return journal_schema()
    from labctl.verdict.schema import json_schema as result_schema

    return result_schema()
