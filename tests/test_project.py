"""One list of dependencies, and imports that point one way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.project import (
    MODULES,
    PACKAGE,
    ROOT,
    imported_modules,
    inner_imports,
    place,
    project,
    required,
    split_requirement,
)

# conda-forge's names where they differ, and what only pip needs.
CONDA_NAMES = {"torch": "pytorch", "playwright": "playwright-python"}
PIP_ONLY = {"tomli"}

# Within mrcnn_edu.model: a module may import modules of earlier rows, or of its own.
MODEL_ROWS = [
    {"boxes", "config_rules", "config"},
    {"settings", "folding", "stand_in"},
    {"images", "anchors", "matching", "roi_align", "backbone"},
    {"rpn", "box_head", "mask_head", "losses", "detect"},
    {"roi_heads", "stages", "tensor_names", "pickles"},
    {"mask_rcnn"},
    {"weights", "twin"},
]
# Within the package; `model` imports nothing of the others.
PACKAGE_ROWS = [
    {"model"},
    {"datasets", "classical", "mistakes"},
    {"training"},
    {"figures"},
    {"explorers", "exercises"},
    {"__main__"},
]
MODEL_MAY_IMPORT = {"torch", "torchvision", "mrcnn_edu"}


# One list of dependencies


def test_the_conda_environment_lists_what_pyproject_lists():
    wanted = {"python": project()["project"]["requires-python"], "pip": ""}
    for name, bound in map(split_requirement, required()):
        if name not in PIP_ONLY:
            wanted[CONDA_NAMES.get(name, name)] = bound
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    listed = [item for item in environment["dependencies"] if isinstance(item, str)]
    assert dict(map(split_requirement, listed)) == wanted
    assert len(listed) == len(wanted)
    assert environment["channels"] == ["conda-forge"]
    assert [item for item in environment["dependencies"] if isinstance(item, dict)] == [{"pip": ["-e ."]}]


def test_versions_have_lower_bounds_and_no_pins():
    for name, bound in map(split_requirement, required()):
        assert re.fullmatch(r">=\d+(\.\d+)*", bound), f"{name}{bound}: give a lower bound and nothing else"


def test_lower_bounds_fit_what_colab_has():
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(".")]

    bounds = dict(map(split_requirement, project()["project"]["dependencies"]))
    colab = dict(re.findall(r"([a-z]+)==(\d+(?:\.\d+)+)", (ROOT / "Makefile").read_text()))
    assert {"torch", "torchvision", "numpy", "ipython", "ipywidgets"} <= colab.keys()
    for name, version in colab.items():
        assert numbers(bounds[name].removeprefix(">=")) <= numbers(version), name


def third_party_imports() -> dict[str, str]:
    """Top-level name → a file of the package that imports it, standard library and the package itself left out."""
    found = {}
    for path in MODULES:
        for name in imported_modules(path):
            top = name.partition(".")[0]
            if top != "mrcnn_edu" and top not in sys.stdlib_module_names:
                found.setdefault(top, place(path))
    return found


def test_every_import_of_the_package_is_a_listed_dependency():
    names = {"PIL": "pillow", "skimage": "scikit-image", "sklearn": "scikit-learn", "IPython": "ipython"}
    listed = {name for name, _ in map(split_requirement, required())}
    # They come with ipywidgets and with nbconvert, at the version those need.
    listed |= {"traitlets", "nbclient"}
    missing = {top: where for top, where in third_party_imports().items() if names.get(top, top) not in listed}
    assert missing == {}


# Imports point one way


def row_of(rows: list[set[str]], name: str) -> int | None:
    return next((i for i, row in enumerate(rows) if name in row), None)


def test_parts_of_the_package_import_only_what_comes_before_them():
    wrong = []
    for where, names in inner_imports(PACKAGE, "mrcnn_edu.").items():
        part = Path(where).parts[1].removesuffix(".py")
        if part == "__init__":
            continue
        own = row_of(PACKAGE_ROWS, part)
        assert own is not None, f"{where}: give {part} a row in PACKAGE_ROWS"
        for name in names - {part}:
            row = row_of(PACKAGE_ROWS, name)
            if row is not None and row >= own:
                wrong.append(f"{where} imports {name}")
    assert wrong == []


def test_modules_of_the_model_import_only_what_comes_before_them():
    wrong = []
    for where, names in inner_imports(PACKAGE / "model", "mrcnn_edu.model.").items():
        module = Path(where).stem
        if module == "__init__":
            continue
        own = row_of(MODEL_ROWS, module)
        assert own is not None, f"{where}: give {module} a row in MODEL_ROWS"
        wrong += [
            f"{where} imports {name}"
            for name in names - {module}
            if (row := row_of(MODEL_ROWS, name)) is not None and row > own
        ]
    assert wrong == []


def explorer_imports() -> list[tuple[str, str, str]]:
    """(explorer or toolkit, its file, what it imports of the explorers: "toolkit.paint", "anchors.reading", …)."""
    found = []
    for folder in sorted((PACKAGE / "explorers").iterdir()):
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
            for name in imported_modules(path):
                inner = name.removeprefix("mrcnn_edu.explorers.").split(".")
                if name.startswith("mrcnn_edu.explorers.") and len(inner) > 1:
                    found.append((folder.name, path.stem, ".".join(inner[:2])))
    return sorted(set(found))


def test_explorers_share_the_toolkit_and_of_one_another_only_the_reading():
    wrong = [
        f"{folder}/{file}.py imports {name}"
        for folder, file, name in explorer_imports()
        if name.split(".")[0] not in (folder, "toolkit") and (folder == "toolkit" or name.split(".")[1] != "reading")
    ]
    assert wrong == []
    assert ("matching", "reading", "anchors.reading") in explorer_imports()  # the one that there is, so the walk works


def test_every_explorer_has_the_same_files_and_its_reading_draws_nothing():
    folders = [path for path in (PACKAGE / "explorers").iterdir() if path.is_dir() and (path / "explorer.py").is_file()]
    assert len(folders) >= 6
    for folder in folders:
        assert {"__init__.py", "explorer.py", "reading.py", "views.py"} <= {path.name for path in folder.iterdir()}
    # Within a folder the way is reading → views and what else it has → explorer.
    drawing = {f"toolkit.{name}" for name in ("paint", "marks", "keys", "charts", "canvas", "controls", "base")}
    wrong = []
    for folder, file, name in explorer_imports():
        own, _, what = name.partition(".")
        back = own == folder and (what == "explorer" or (file in ("reading", "record") and what == "views"))
        if folder != "toolkit" and file != "explorer" and (back or (file == "reading" and name in drawing)):
            wrong.append(f"{folder}/{file}.py imports {name}")
    assert wrong == []


def test_the_model_has_no_circle_of_imports():
    graph = {Path(where).stem: names for where, names in inner_imports(PACKAGE / "model", "mrcnn_edu.model.").items()}
    graph.pop("__init__")
    done: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path, module])
        if module not in done:
            for name in sorted(graph.get(module, set()) & graph.keys() - {module}):
                visit(name, (*path, module))
            done.append(module)

    for module in graph:
        visit(module, ())
    assert set(done) == set(graph)


def test_the_model_needs_torch_and_torchvision_alone():
    allowed = {"weights.py": MODEL_MAY_IMPORT | {"safetensors"}}
    for path in (PACKAGE / "model").rglob("*.py"):
        tops = {name.partition(".")[0] for name in imported_modules(path)} - sys.stdlib_module_names
        assert tops <= allowed.get(path.name, MODEL_MAY_IMPORT), place(path)


def modules_after(statement: str) -> set[str]:
    """Which modules a fresh Python has loaded after the statement."""
    program = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing_large():
    loaded = modules_after("import mrcnn_edu")
    assert not loaded & {"torch", "torchvision", "numpy", "matplotlib", "ipywidgets", "PIL", "skimage"}


def test_importing_the_model_loads_no_pictures_and_no_widgets():
    loaded = modules_after("from mrcnn_edu.model import MaskRCNN, load_weights, preset")
    assert "torchvision" in loaded
    assert not loaded & {"matplotlib", "ipywidgets", "anywidget", "IPython", "skimage", "sklearn", "pycocotools"}
    others = {"datasets", "training", "figures", "explorers", "exercises", "classical"}
    assert not {f"mrcnn_edu.{name}" for name in others} & loaded
