"""Drawings of a planned lab: one module for each format, pure functions from Lab to text. Does no I/O."""
