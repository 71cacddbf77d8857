"""The command line: one file a command, thin."""


def main() -> None:
    """The entry point."""
