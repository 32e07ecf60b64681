"""What lies in a folder of exercises is imported with it, so that adding a file is enough."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules


def import_all(package: str, path: Iterable[str], prefix: str = "") -> None:
    """Import every module of a folder, which puts the exercises and questions in it on the shelf.

    package  the folder as Python names it, its `__name__`
    path     where its files lie, its `__path__`
    prefix   how the names begin of those that are imported
    """
    for module in iter_modules(path):
        if module.name.startswith(prefix):
            import_module(f"{package}.{module.name}")
