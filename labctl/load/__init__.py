"""YAML -> model. Every problem at once, each with file:line:column and a hint."""
