"""The words of the scenario language, one kind a file: schema, docs and checks follow from them."""
