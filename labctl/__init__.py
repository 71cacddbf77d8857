"""labctl: a lab of real routers from one file, faults under traffic, and a verdict with numbers."""

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "Fault",
    "Inconclusive",
    "Lab",
    "LabctlError",
    "Node",
    "NotMet",
    "Result",
    "Traffic",
    "Verdict",
    "__version__",
    "check_machine",
    "load_result",
    "open",
    "run",
    "up",
]


def __getattr__(name: str) -> object:
    """A name of the public API, imported when it is first used (PEP 562): commands need none of it."""
    if name not in __all__:
        raise AttributeError(f"module 'labctl' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the reason for this function

    return getattr(import_module("labctl.api"), name)


def __dir__() -> list[str]:
    """The public names, and what a module has besides."""
    return sorted({*globals(), *__all__})
