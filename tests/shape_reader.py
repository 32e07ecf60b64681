"""Run a module so that every shape comment in it is checked against the tensor it stands beside.

The module's source is parsed, each commented value is wrapped in a check, and the result is run in its place:

    boxes = decode(deltas, anchors)  # (N, 4)      →      boxes = <scope>.check(line, decode(deltas, anchors))

A comment may stand where an assignment, a return, an appended value, an argument or an element ends, behind the header
of a `for`, and behind a dataclass field. Docstring lines `name   (N, 4) …` for a function's own parameters or a
dataclass's own fields, and `returns  (N, 4)`, are read as well. A comment that starts like a shape and stands anywhere
else is reported.
"""

from __future__ import annotations

import ast
import functools
import importlib.abc
import importlib.machinery
import inspect
import io
import re
import sys
import tokenize
from dataclasses import dataclass, field

from tests.shape_grammar import Scope, ShapeError, Shapes, parse

DOC_LINE = re.compile(r"^\s*(\w+(?:, \w+)*)\s{2,}(\S.*)$")


@dataclass
class Record:
    """What was found. Places are "file.py:line"; `wrong` maps a place to what was wrong there first."""

    written: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)
    letters: dict[str, set[str]] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def scope(self) -> Checker:
        return Checker(self, Scope())

    def watch(self, cls: type, fields: dict[str, tuple[str, Shapes]]) -> None:
        """Check the fields of every instance of a class when it has been made."""
        make = cls.__init__

        @functools.wraps(make)
        def checked_init(instance, *args, **kwargs):
            make(instance, *args, **kwargs)
            checker = self.scope()
            for name, (place, shapes) in fields.items():
                checker.parameter(place, shapes, getattr(instance, name))

        cls.__init__ = checked_init


@dataclass
class Checker:
    """The checks within one call of one function."""

    record: Record
    scope: Scope

    def mark(self) -> Scope:
        return self.scope.copy()

    def release(self, mark: Scope) -> None:
        """Forget what was bound since the mark: a loop's next round may have other sizes."""
        self.scope = mark.copy()

    def check(self, place: str, shapes: Shapes, value, free: bool = False):
        """Hold the value against the shapes, and give it back.

        With `free` (inside a comprehension), letters that are not yet bound stay so.
        """
        if inspect.isgenerator(value):
            value = tuple(value)
        self.hold(place, shapes, value, free)
        return value

    def hold(self, place: str, shapes: Shapes, value, free: bool = False) -> None:
        self.record.checked.add(place)
        scope = self.scope.copy() if free else self.scope
        try:
            scope.check(shapes, value)
        except ShapeError as error:
            self.record.wrong.setdefault(place, f"{shapes.text!r}: {error}")

    def parameter(self, place: str, shapes: Shapes, value) -> None:
        """A parameter that holds no tensor is not what the docstring's shape speaks of: (height, width), None."""
        if holds_tensors(value):
            self.hold(place, shapes, value)

    def result(self, place: str, shapes: Shapes, value):
        self.parameter(place, shapes, value)
        return value


def holds_tensors(value) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(holds_tensors(one) for one in value)
    return hasattr(value, "shape")


def shape_comments(source: str) -> dict[int, Shapes]:
    """Line number → the shapes its comment gives. Comments that do not start with a shape are left out."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    return {line: shapes for line, text in comments.items() if (shapes := parse(text))}


def shape_docs(node: ast.AST) -> dict[str, Shapes]:
    """Name (or "returns") → the shapes that the docstring of a function or class gives for it."""
    lines = (ast.get_docstring(node) or "").splitlines()
    matches = [match for line in lines if (match := DOC_LINE.match(line))]
    return {name: shapes for match in matches if (shapes := parse(match[2])) for name in match[1].split(", ")}


class Instrument(ast.NodeTransformer):
    """Puts the checks into a parsed module."""

    def __init__(self, source: str, filename: str, record: Record):
        self.record, self.filename = record, filename
        self.comments = shape_comments(source)
        self.constants: list[Shapes] = []
        self.placed: set[int] = set()
        self.comprehensions = 0
        self.returns: list[tuple[str, Shapes] | None] = [None]
        for line, shapes in self.comments.items():
            self.note(f"{filename}:{line}", shapes)

    def note(self, place: str, shapes: Shapes) -> None:
        self.record.written.add(place)
        for dims in shapes.dims:
            found = {letter for dim in dims for letter in re.findall(r"[A-Z]", dim)}
            self.record.letters.setdefault(place, set()).update(found)

    def place(self, line: int) -> str:
        self.placed.add(line)
        return f"{self.filename}:{line}"

    def constant(self, shapes: Shapes) -> int:
        self.constants.append(shapes)
        return len(self.constants) - 1

    def call(self, method: str, place: str, shapes: Shapes, value: ast.expr, **keywords: bool) -> ast.expr:
        text = f"__shapes__.{method}({place!r}, __shape_constants__[{self.constant(shapes)}])"
        made = ast.parse(text, mode="eval").body
        made.args.append(value)
        made.keywords = [ast.keyword(name, ast.Constant(value)) for name, value in keywords.items()]
        for node in ast.walk(made):
            if not hasattr(node, "lineno"):
                ast.copy_location(node, value)
        return made

    def wrapped(self, line: int, value: ast.expr) -> ast.expr:
        """The value with the check of that line's comment around it."""
        free = {"free": True} if self.comprehensions else {}
        return self.call("check", self.place(line), self.comments[line], value, **free)

    def commented(self, node: ast.stmt) -> bool:
        return node.end_lineno in self.comments and node.end_lineno not in self.placed

    def visit(self, node: ast.AST):
        """Statements first; then, for a comment inside one, the last expression that lies on that line alone."""
        if isinstance(node, ast.stmt):
            self.place_inner(node)
        return super().visit(node)

    def place_inner(self, statement: ast.stmt) -> None:
        """Note on the expression itself that a comment within a statement of several lines speaks of it."""
        simple = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Return, ast.Expr, ast.AugAssign))
        for line in range(statement.lineno, statement.end_lineno) if simple else ():
            if line in self.comments:
                inside = [
                    node
                    for node in ast.walk(statement)
                    if isinstance(node, ast.expr) and node.lineno == node.end_lineno == line
                ]
                if inside:
                    last = max(inside, key=lambda node: (node.end_col_offset, -node.col_offset))
                    last.shape_line = line

    def generic_visit(self, node: ast.AST):
        comprehension = isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp))
        self.comprehensions += comprehension
        node = super().generic_visit(node)
        self.comprehensions -= comprehension
        line = getattr(node, "shape_line", None)
        return self.wrapped(line, node) if line is not None else node

    def visit_Assign(self, node: ast.Assign):
        own = self.commented(node)
        self.generic_visit(node)
        if own and node.value is not None:
            node.value = self.wrapped(node.end_lineno, node.value)
        return node

    visit_AnnAssign = visit_Assign

    def visit_Return(self, node: ast.Return):
        node = self.visit_Assign(node)
        if self.returns[-1] and node.value is not None:
            place, shapes = self.returns[-1]
            node.value = self.call("result", place, shapes, node.value)
        return node

    def visit_Expr(self, node: ast.Expr):
        own = self.commented(node)
        self.generic_visit(node)
        if own:
            fills = isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") in ("append", "insert")
            if fills:
                node.value.args[-1] = self.wrapped(node.end_lineno, node.value.args[-1])
            else:
                node.value = self.wrapped(node.end_lineno, node.value)
        return node

    def visit_AugAssign(self, node: ast.AugAssign):
        own = self.commented(node)
        self.generic_visit(node)
        if not own:
            return node
        target = ast.parse(ast.unparse(node.target), mode="eval").body
        return [node, ast.copy_location(ast.Expr(self.wrapped(node.end_lineno, target)), node)]

    def visit_For(self, node):
        line = getattr(node, "iter", node).end_lineno if isinstance(node, ast.For) else None
        self.generic_visit(node)
        if line in self.comments and line not in self.placed:
            target = ast.parse(ast.unparse(node.target), mode="eval").body
            node.body.insert(0, ast.copy_location(ast.Expr(self.wrapped(line, target)), node))
        name = f"__mark_{node.lineno}_{node.col_offset}__"
        mark = ast.parse(f"{name} = __shapes__.mark()").body
        node.body[:0] = ast.parse(f"__shapes__.release({name})").body
        return [*mark, node, *ast.parse(f"__shapes__.release({name})").body]

    visit_While = visit_For

    def visit_FunctionDef(self, node: ast.FunctionDef):
        docs = shape_docs(node)
        returns = None
        if "returns" in docs:
            returns = (f"{self.filename}:{node.name}: returns", docs["returns"])
            self.note(*returns)
        self.returns.append(returns)
        outer, self.comprehensions = self.comprehensions, 0
        self.generic_visit(node)
        self.comprehensions = outer
        self.returns.pop()
        start = ast.parse("__shapes__ = __shape_record__.scope()").body
        parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for parameter in parameters:
            if parameter.arg in docs:
                start.append(self.parameter(node, parameter, docs[parameter.arg]))
        at = 1 if ast.get_docstring(node) is not None else 0
        node.body[at:at] = start
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def parameter(self, function: ast.FunctionDef, parameter: ast.arg, shapes: Shapes) -> ast.stmt:
        place = f"{self.filename}:{function.name}: {parameter.arg}"
        self.note(place, shapes)
        name = ast.copy_location(ast.Name(parameter.arg, ast.Load()), parameter)
        return ast.copy_location(ast.Expr(self.call("parameter", place, shapes, name)), parameter)

    def visit_ClassDef(self, node: ast.ClassDef):
        fields, docs = {}, shape_docs(node)
        for one in node.body:
            if not (isinstance(one, ast.AnnAssign) and one.value is None and isinstance(one.target, ast.Name)):
                continue
            name = one.target.id
            if one.end_lineno in self.comments:
                fields[name] = (self.place(one.end_lineno), self.constant(self.comments[one.end_lineno]))
            elif name in docs:
                fields[name] = (f"{self.filename}:{node.name}: {name}", self.constant(docs[name]))
                self.note(fields[name][0], docs[name])
        self.generic_visit(node)
        if not fields:
            return node
        inside = ", ".join(f"{n!r}: ({place!r}, __shape_constants__[{i}])" for n, (place, i) in fields.items())
        return [node, *ast.parse(f"__shape_record__.watch({node.name}, {{{inside}}})").body]

    def visit_Module(self, node: ast.Module):
        self.generic_visit(node)
        for line in self.comments.keys() - self.placed:
            self.record.wrong[f"{self.filename}:{line}"] = "a shape that stands beside no value"
        return node


def run_instrumented(source: str, filename: str, namespace: dict, record: Record) -> None:
    """Run a module's source in `namespace` with its shape comments checked into `record`."""
    instrument = Instrument(source, filename, record)
    tree = ast.fix_missing_locations(instrument.visit(ast.parse(source)))
    namespace.update(__shape_record__=record, __shape_constants__=instrument.constants, __shapes__=record.scope())
    exec(compile(tree, filename, "exec", dont_inherit=True), namespace)


class ShapeFinder(importlib.abc.MetaPathFinder):
    """Imports every module of one package with its shape comments checked."""

    def __init__(self, package: str, record: Record):
        self.package, self.record = package, record

    def find_spec(self, name, path, target=None):
        if name != self.package and not name.startswith(self.package + "."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = ShapeLoader(spec.loader, self.record)
        return spec


class ShapeLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.machinery.SourceFileLoader, record: Record):
        self.loader, self.record = loader, record

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        source = self.loader.get_source(module.__name__)
        filename = self.loader.path.rpartition("/")[2]
        run_instrumented(source, filename, module.__dict__, self.record)


def install(package: str) -> Record:
    """From now on, import `package` with its shape comments checked. Raises if it has been imported already."""
    if package in sys.modules:
        raise RuntimeError(f"{package} is imported already: its comments can no longer be checked")
    record = Record()
    sys.meta_path.insert(0, ShapeFinder(package, record))
    return record
