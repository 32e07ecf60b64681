"""Read a shape from a comment or a docstring, and hold it against a tensor.

    (N, 4)   (B, C, H, W)   (R, 4K)   (h·w·A, 4)   (..., 4)   (G, _)   ()   (N, 2), (N, 2)   each (N, 4)

A dim is a whole number, a letter, a product or sum of them, `_` (any) or `...` (any number of dims). Capitals come from
the legend. A letter keeps its first value throughout one call of one function.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

ANY, REST = "_", "..."
SHAPE = re.compile(r"\(\s*([^()]*)\)")
ELEMENTS = re.compile(r"^(?:each|one|list of|lists of)\s+")
DIM = re.compile(r"[\w'·*+/\- ]+")


@dataclass(frozen=True)
class Shapes:
    """What one comment says: the dims of each tensor, and whether it speaks of the elements of a list."""

    dims: tuple[tuple[str, ...], ...]
    elements: bool
    text: str


class ShapeError(Exception):
    """A comment and a tensor disagree, or the comment cannot be read."""


def parse(text: str) -> Shapes | None:
    """The shapes that `text` begins with, or None where it begins with something else.

    `(height, width)`, `(y, x)` and `(see above)` are not shapes: a shape has a number, a capital, `...` or `_` in it,
    and no word of two letters or more. `()` is the shape of a scalar.
    """
    elements = ELEMENTS.match(text)
    rest = text[elements.end() :] if elements else text
    found = []
    while match := SHAPE.match(rest):
        dims = parse_dims(match[1])
        if dims is None:
            break
        found.append(dims)
        rest = rest[match.end() :]
        joint = re.match(r"(?:, | and )(?=\()", rest)
        if not joint:
            break
        rest = rest[joint.end() :]
    if not found:
        return None
    return Shapes(tuple(found), bool(elements), text)


def parse_dims(inside: str) -> tuple[str, ...] | None:
    """The dims between the parentheses as Python expressions, or None if this is no shape."""
    if not inside.strip():
        return ()
    parts = [part.strip() for part in inside.split(",")]
    if parts[-1] == "":
        parts.pop()
    dims = [part if part in (ANY, REST) else normal_dim(part) for part in parts]
    if not dims or None in dims:
        return None
    is_shape = any(dim in (ANY, REST) or re.search(r"\d|[A-Z]", dim) for dim in dims)
    return tuple(dims) if is_shape or len(dims) == 1 and "," in inside else None


def normal_dim(text: str) -> str | None:
    """`4K` as `4*K`, `h·w` as `h*w`, `N'` as `N_1`; None for anything that is no arithmetic of letters and numbers."""
    if not DIM.fullmatch(text):
        return None
    text = text.replace("·", "*").replace(" ", "")
    text = re.sub(r"([A-Za-z])('+)", lambda match: f"{match[1]}_{len(match[2])}", text)
    text = re.sub(r"(\d)([A-Za-z])", r"\1*\2", text)
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return text if all(re.fullmatch(r"[A-Za-z][\d_]*", name) for name in names) else None


def letters(shapes: Shapes) -> set[str]:
    """Every letter the shapes use, without its prime or number."""
    return {letter for dims in shapes.dims for dim in dims for letter in re.findall(r"[A-Za-z]", dim)}


@dataclass
class Scope:
    """The values of the letters within one call of one function."""

    bound: dict[str, int] = field(default_factory=dict)
    deferred: list[tuple[str, int]] = field(default_factory=list)

    def copy(self) -> Scope:
        return Scope(dict(self.bound), list(self.deferred))

    def check(self, shapes: Shapes, value) -> None:
        """Hold `value` against the shapes. Raises ShapeError saying which dim differs, and from what."""
        if len(shapes.dims) > 1:
            parts = list(value)
            if len(parts) != len(shapes.dims):
                raise ShapeError(f"{len(shapes.dims)} shapes for {len(parts)} values")
            for dims, part in zip(shapes.dims, parts, strict=True):
                self._check_one(dims, part)
        elif not hasattr(value, "shape") and isinstance(value, (list, tuple, dict)):
            self._check_elements(shapes.dims[0], value)
        else:
            self._check_one(shapes.dims[0], value)

    def _check_elements(self, dims: tuple[str, ...], values) -> None:
        for value in values.values() if isinstance(values, dict) else values:
            self.copy()._check_one(dims, value)

    def _check_one(self, dims: tuple[str, ...], value) -> None:
        if isinstance(value, (list, tuple)) and not hasattr(value, "shape"):
            return self._check_elements(dims, value)
        if not hasattr(value, "shape") and not isinstance(value, (int, float)):
            raise ShapeError(f"a {type(value).__name__} has no shape")
        shape = tuple(getattr(value, "shape", ()))
        if REST in dims:
            at = dims.index(REST)
            skipped = len(shape) - (len(dims) - 1)
            dims, shape = dims[:at] + dims[at + 1 :], shape[:at] + shape[at + max(skipped, 0) :]
        if len(dims) != len(shape):
            raise ShapeError(f"{len(dims)} dims for a tensor of shape {shape}")
        for dim, size in zip(dims, shape, strict=True):
            if dim != ANY:
                self._check_dim(dim, size, shape)
        pending, self.deferred = self.deferred, []
        for dim, size in pending:
            self._check_dim(dim, size, shape)

    def _check_dim(self, dim: str, size: int, shape: tuple[int, ...]) -> None:
        free = sorted(set(re.findall(r"[A-Za-z][\d_]*", dim)) - self.bound.keys())
        if len(free) > 1:
            self.deferred.append((dim, size))
        elif free:
            self._solve(dim, free[0], size, shape)
        elif (value := self._evaluate(dim)) != size:
            known = ", ".join(f"{name} = {self.bound[name]}" for name in sorted(self.bound))
            raise ShapeError(f"{dim} is {value}, but the tensor's shape is {shape} ({known})")

    def _solve(self, dim: str, letter: str, size: int, shape: tuple[int, ...]) -> None:
        """Bind the one free letter of a linear dim, so that `4K` = 20 makes K = 5."""
        at_0, at_1 = (self._evaluate(dim, {letter: value}) for value in (0, 1))
        if at_1 == at_0:
            return
        value, rest = divmod(size - at_0, at_1 - at_0)
        if rest or self._evaluate(dim, {letter: value}) != size:
            raise ShapeError(f"no whole {letter} makes {dim} = {size}; the tensor's shape is {shape}")
        self.bound[letter] = value

    def _evaluate(self, dim: str, extra: dict[str, int] | None = None) -> int:
        return eval(compile(dim, "<dim>", "eval"), {"__builtins__": {}}, {**self.bound, **(extra or {})})
