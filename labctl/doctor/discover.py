"""Finds the checks: every file of a folder and of the folders in it, without a list of them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from labctl.doctor.model import CheckGroup, MachineCheck

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

__all__ = ["discover"]

_PLACES = {group: place for place, group in enumerate(CheckGroup)}


def discover(package: ModuleType) -> tuple[MachineCheck, ...]:
    """Every check in the modules of a package and of its subpackages, in the order of showing.

    Args:
        package: where to look. Each module has ``CHECK``, or a function ``checks()`` that gives several.

    Raises:
        TypeError: a module has neither.
    """
    return tuple(sorted(_all(package), key=lambda check: (_PLACES[check.group], check.order, check.name)))


def _all(package: ModuleType) -> Iterator[MachineCheck]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        yield from _all(module) if found.ispkg else _checks_of(module)


def _checks_of(module: ModuleType) -> Iterable[MachineCheck]:
    one, several = getattr(module, "CHECK", None), getattr(module, "checks", None)
    if isinstance(one, MachineCheck):
        return (one,)
    if several is None:
        raise TypeError(f"{module.__name__} has neither CHECK nor checks()")
    found: Iterable[MachineCheck] = several()
    return found
