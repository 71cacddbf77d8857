"""Checks of the kernel: each feature is used once in a throw-away network namespace."""
