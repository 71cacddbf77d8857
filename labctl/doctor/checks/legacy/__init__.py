"""Checks for the legacy network controllers (docs/paris.md): what their nodes run, and the Python for it."""
