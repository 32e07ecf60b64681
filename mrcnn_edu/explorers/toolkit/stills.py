"""Run lessons from fresh kernels and store their outputs, with stills in place of live widgets.

    python -m mrcnn_edu.explorers.toolkit.stills notebooks/*.ipynb

A stored notebook has no kernel behind it. JupyterLab would show "Error displaying widget" where a widget view is
stored, even if a picture is stored beside it; so only what can be shown without a kernel is kept.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

from mrcnn_edu.figures import WIDGET_VIEW, still_outputs


def keep_stills(notebook) -> None:
    """Replace each widget view by its still and caption, or by its other forms; drop widget state. In place.

    raises   ValueError naming the cell whose widget has nothing to show without a kernel
    """
    from nbformat.v4 import new_output

    notebook.metadata.pop("widgets", None)
    for number, cell in enumerate(notebook.cells):
        kept = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET_VIEW not in data:
                kept.append(output)
            elif "image/png" in data:
                about = output.metadata["image/png"]
                for form, metadata in still_outputs(data["image/png"], about["alt"], about["width"]):
                    kept.append(new_output("display_data", data=form, metadata=metadata))
            elif "text/html" in data:
                del data[WIDGET_VIEW]
                kept.append(output)
            elif re.search(r"\d+%\||it/s\]|s/it\]|B/s\]", data.get("text/plain", "")):
                continue  # a progress bar of tqdm: nothing is left to show when it is done
            else:
                raise ValueError(f"cell {number} shows a widget that has no still and no text for a stored notebook")
        if "outputs" in cell:
            cell.outputs = kept


def run(path: Path, timeout: float = 600) -> None:
    """Execute a notebook in place from a fresh kernel, with progress of its own, and keep stills.

    raises   nbclient's CellExecutionError where a cell fails; the file is then left as it was
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"MRCNN_EDU_PROGRESS": str(Path(folder) / "progress.json")}
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            store_widget_state=False,
            record_timing=False,
            coalesce_streams=True,  # else chance decides which lines of one cell come as one output
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(env=environment)
    keep_stills(notebook)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    part.replace(path)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"running {name}", flush=True)
        run(Path(name))
