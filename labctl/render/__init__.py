"""Model -> definition: a containerlab file and a folder a node."""
