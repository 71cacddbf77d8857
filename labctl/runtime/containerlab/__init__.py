"""The containerlab runtime: containerlab as a program, and a Docker engine behind it."""
