"""Checks of the machine itself: rights, limits, Python."""
