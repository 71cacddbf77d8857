import json
import re
from typing import Any

from labctl.load.schema import LinkModel, NodeModel, TopologyModel, json_schema

SCHEMA = json_schema(("rack",), ("host", "router"))


def test_the_schema_is_plain_json_and_says_which_dialect() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["required"] == ["name", "nodes"]


def test_every_key_is_there_with_a_description_and_no_other_is_allowed() -> None:
    for model in (NodeModel, LinkModel):
        part = SCHEMA["$defs"][model.__name__]
        assert set(model.model_fields) <= set(part["properties"])
        assert part["additionalProperties"] is False
        assert all("description" in value for value in part["properties"].values())
    assert set(SCHEMA["properties"]) == set(TopologyModel.model_fields)
    assert SCHEMA["additionalProperties"] is False


def test_keys_and_names_of_roles_are_known_to_editors() -> None:
    node = SCHEMA["$defs"]["NodeModel"]["properties"]
    assert "rack" in node
    assert node["role"]["examples"] == ["host", "router"]


def numbers(part: Any) -> list[dict[str, Any]]:
    """Every place that wants a number, a truth value or an address."""
    found = []
    if isinstance(part, dict):
        if part.get("type") in ("integer", "boolean", "number") or "format" in part:
            found.append(part)
        for value in part.values():
            found += numbers(value)
    elif isinstance(part, list):
        for item in part:
            found += numbers(item)
    return found


def test_a_variable_may_stand_where_a_number_may() -> None:
    text = json.dumps(SCHEMA)
    assert len(numbers(SCHEMA)) > 10
    # Each of them stands in an anyOf beside the pattern of a variable.
    assert text.count('"pattern": "\\\\{[^{}]+\\\\}"') >= len(numbers(SCHEMA))
    assert re.search(r"\{[^{}]+\}", "{size-1}")


def test_links_are_pairs_or_mappings() -> None:
    link = SCHEMA["properties"]["links"]["anyOf"][0]["items"]
    shapes = link.get("oneOf") or link.get("anyOf")
    assert {"$ref": "#/$defs/LinkModel"} in shapes
    (pair,) = [shape for shape in shapes if shape.get("type") == "array"]
    assert (pair["minItems"], pair["maxItems"]) == (2, 2)
