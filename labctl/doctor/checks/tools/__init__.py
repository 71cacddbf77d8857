"""Checks of the programs and libraries that labctl and its nodes run."""
