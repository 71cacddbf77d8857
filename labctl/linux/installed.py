"""What is installed here: programs where nodes look for them, Python modules, features of the kernel."""

from __future__ import annotations

import ctypes
import functools
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.linux.features import FEATURES, LackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["NODE_PATH", "absent", "feature_absent", "file_of", "find_program", "has_library", "has_module"]

NODE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where nodes look for programs, whatever the caller's own path is."""

_OWN = "labctl/"


def find_program(name: str) -> str | None:
    """Absolute path of a program; None if it is not installed."""
    return shutil.which(name, path=NODE_PATH)


def file_of(name: str) -> Path:
    """A file by its absolute path, or one of labctl's own, such as ``labctl/overlay/x``."""
    return Path(__file__).resolve().parents[2] / name if name.startswith(_OWN) else Path(name)


def has_library(name: str) -> bool:
    """Whether a shared library of that name can be loaded, such as ``libbpf.so.1``."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def has_module(name: str) -> bool:
    """Whether labctl's own Python, which nodes use, finds a module."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # its parent is not there
        return False


@functools.cache
def feature_absent(name: str) -> bool:
    """Whether the kernel lacks a feature; tried once a process, and False where it cannot be tried."""
    try:
        FEATURES[name]()
    except LackingError as error:
        return not error.untried
    except KeyError:
        return True
    return False


def absent(kind: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Which of these things are not there.

    Args:
        kind: ``programs``, ``files``, ``libraries``, ``modules`` or ``kernel``.
        names: of things of that kind.
    """
    tests: Mapping[str, Callable[[str], bool]] = {
        "programs": lambda name: find_program(name) is None,
        "files": lambda name: not file_of(name).exists(),
        "libraries": lambda name: not has_library(name),
        "modules": lambda name: not has_module(name),
        "kernel": feature_absent,
    }
    return tuple(name for name in names if tests[kind](name))
