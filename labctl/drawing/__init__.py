"""Drawings of a planned lab: one file a format, pure functions from Lab to text."""
