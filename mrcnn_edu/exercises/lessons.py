"""A lesson's folder: every file in it is imported with it."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules


def import_all(package: str, path: Iterable[str]) -> None:
    """Import every file of a lesson's folder, which puts its exercises and questions on the shelf.

    package  the folder as Python names it, its `__name__`
    path     where its files lie, its `__path__`
    """
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")
