"""The oldest versions that pyproject.toml allows, as constraints for pip: `python -m tests.oldest > versions.txt`.

Only of what the package and its lessons need; what the tests themselves need is in its newest version everywhere.
"""

from __future__ import annotations

from tests.project import project, split_requirement


def oldest() -> list[str]:
    """["torch==2.6", …]: the lower bound of each requirement as the version itself.

    raises   ValueError for a requirement that has no lower bound, or more than that
    """
    extras = project()["project"]["optional-dependencies"]
    return [exact(requirement) for requirement in [*project()["project"]["dependencies"], *extras["lab"]]]


def exact(requirement: str) -> str:
    """torch==2.6 of torch>=2.6."""
    name, bound = split_requirement(requirement)
    version = bound.removeprefix(">=").strip()
    if not bound.startswith(">=") or not version.replace(".", "").isdecimal():
        raise ValueError(f"pyproject.toml: {requirement!r} should give one lower bound, as in torch>=2.6")
    return f"{name}=={version}"


if __name__ == "__main__":
    print("\n".join(oldest()))
