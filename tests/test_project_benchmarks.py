"""The benchmark's instruments: turns are taken, operations counted, differences caught, memory seen, tables written."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import torch
from PIL import Image

from benchmarks import browser, check, explorers, files, growth, inputs, report, rows, run, timing
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number
from mrcnn_edu.explorers.toolkit.paint import Sheet
from tests import servers
from tests.explorers.opened import OPENINGS

CPU = torch.device("cpu")


def test_functions_are_timed_by_turns():
    calls = []
    times = timing.by_turns([lambda: calls.append("a"), lambda: calls.append("b")], rounds=3, device=CPU, least=0)
    assert calls == ["a", "b", "a", "b", *"ab" * 3]
    assert [len(own.samples) for own in times] == [3, 3]


def test_a_short_function_is_called_often_enough_to_be_timed():
    calls = []
    timing.by_turns([lambda: calls.append(1)], rounds=1, device=CPU, least=1e-3)
    assert len(calls) > 10


def test_median_and_spread():
    times = timing.Times((1.0, 2.0, 3.0, 100.0))
    assert times.median == 2.5
    assert timing.Times((2.0, 2.0, 2.0, 2.0)).spread == 0
    assert timing.Times((1.0, 3.0)).spread == 0.5


def test_operations_of_a_matrix_product_and_a_convolution():
    assert timing.operations(lambda: torch.ones(3, 4) @ torch.ones(4, 5)) == 2 * 3 * 4 * 5
    conv = torch.nn.Conv2d(2, 3, 3, padding=1, bias=False)
    assert timing.operations(lambda: conv(torch.ones(1, 2, 8, 8))) == 2 * (8 * 8) * (2 * 3 * 3 * 3)


def test_the_matrix_product_is_as_large_as_it_says():
    product, count = timing.gemm(CPU)
    assert 2 * round((count / 2) ** (1 / 3)) ** 3 == count
    assert product().shape == (2048, 2048)


def detections(count: int = 5) -> dict[str, torch.Tensor]:
    boxes = inputs.random_boxes(count, (60, 80), 8, 30)
    target = inputs.target_of(boxes, (60, 80), num_classes=3)
    return {
        "boxes": boxes,
        "labels": target["labels"],
        "scores": torch.linspace(0.9, 0.1, count),
        "masks": target["masks"][:, None].float(),
    }


def test_detections_are_compared_as_sets():
    ours = detections()
    order = torch.tensor([3, 0, 4, 1, 2])
    assert "5 detections" in check.same_detections({name: x[order] for name, x in ours.items()}, ours)


def change(name: str, index, amount: float) -> dict[str, torch.Tensor]:
    changed = {key: value.clone() for key, value in detections().items()}
    changed[name][index] += amount
    return changed


@pytest.mark.parametrize(
    "wrong",
    [
        change("boxes", (2, 0), 0.01),
        change("scores", 1, 0.001),
        change("labels", 0, 1),
        change("masks", (0, 0, slice(0, 5)), 1.0),
        {name: value[:4] for name, value in detections().items()},
        change("boxes", (0, 0), float("nan")),
    ],
    ids=["box", "score", "label", "mask", "count", "nan"],
)
def test_other_detections_are_refused(wrong):
    with pytest.raises(check.Differs):
        check.same_detections(wrong, detections())


@pytest.mark.parametrize("value", [1.001, float("nan")])
def test_other_losses_are_refused(value):
    assert "differ" in check.same_losses({"loss": torch.tensor(1.00001)}, {"loss": torch.tensor(1.0)})
    with pytest.raises(check.Differs):
        check.same_losses({"loss": torch.tensor(value)}, {"loss": torch.tensor(1.0)})
    with pytest.raises(check.Differs):
        check.same_losses({"loss": torch.tensor(1.0)}, {"other": torch.tensor(1.0)})


@pytest.mark.parametrize("value", [1.001, float("nan")])
def test_other_values_are_refused(value):
    theirs = torch.ones(3, 3)
    ours = theirs.clone()
    assert "differ" in check.same_values(ours, theirs, "maps")
    ours[1, 1] = value
    with pytest.raises(check.Differs):
        check.same_values(ours, theirs, "maps")


def test_other_proposals_are_refused():
    boxes = inputs.random_boxes(300, (400, 400), 10, 100)
    check.same_proposals(boxes.flip(0), boxes)
    check.same_proposals(boxes[1:], boxes)
    with pytest.raises(check.Differs):
        check.same_proposals(boxes[30:], boxes)


@pytest.mark.parametrize("name", ["paste", "resize", "roialign", "lesson-train"])
def test_rows_give_the_same_outputs_on_both_sides(name):
    assert rows.ROWS[name].build(CPU, False).check()


def test_a_step_from_large_files_sees_the_pictures_and_objects_of_the_shrunk_ones(monkeypatch):
    monkeypatch.setattr(files, "FULL", (640, 960))
    files.folder.cache_clear()
    try:
        case = rows.ROWS["large-files"].build(CPU, False)
        assert "boxes differ" in case.check() and "960 × 640" in case.inputs
        case.ours()
    finally:
        files.folder.cache_clear()


def test_other_pictures_and_objects_are_refused():
    picture, target = torch.rand(3, 4, 4), detections()
    larger = {"boxes": target["boxes"] * 2}
    assert check.same_pictures(picture, picture) and check.same_objects(larger, target, 2)
    for wrong in (picture + 0.1, picture[:, :3], picture * float("nan")):
        with pytest.raises(check.Differs):
            check.same_pictures(wrong, picture)
    for boxes in (larger["boxes"] + 5, larger["boxes"][1:]):
        with pytest.raises(check.Differs):
            check.same_objects({"boxes": boxes}, target, 2)


def test_a_row_whose_outputs_differ_is_not_timed(monkeypatch):
    case = rows.ROWS["paste"].build(CPU, False)
    broken = rows.Case(lambda: ~case.ours(), case.theirs, lambda: check.same_masks(~case.ours(), case.theirs()), "")
    monkeypatch.setitem(rows.ROWS, "paste", rows.Row("broken", lambda device, bfloat16: broken))
    monkeypatch.setattr(run, "by_turns", lambda *arguments: pytest.fail("was timed"))
    with pytest.raises(check.Differs):
        run.main(["--quick", "--rows", "paste"])


def test_host_syncs_are_counted_from_torchs_warnings(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def call():
        for _ in range(3 if modes == ["warn"] else 0):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run.host_syncs(call, CPU) == 3
    assert modes == ["warn", "default"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its own peak anew")
def test_the_peak_is_seen_though_the_memory_is_given_back(root):
    # In a process of its own, as the benchmark has it: this one may hold freed memory that a call finds there.
    script = (
        "import torch; from benchmarks import memory; "
        "print(memory.peak_on_host(lambda: torch.ones(48 * 2**20, dtype=torch.uint8) is None))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert 40 * 2**20 <= int(done.stdout) <= 56 * 2**20


def test_a_quick_run_prints_the_table_and_replaces_no_results(capsys, root):
    results = root / "benchmarks" / "RESULTS.md"
    before = results.read_bytes() if results.exists() else None
    assert run.main(["--quick", "--rows", "paste", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "pasting 100 masks to bool" in printed and "≥ 5.0×" in printed
    assert (results.read_bytes() if results.exists() else None) == before


def test_a_written_report_has_times_memory_growth_and_the_machine(tmp_path):
    times = timing.Times((2.0,)), timing.Times((3.0,))
    row = rows.ROWS["r50-infer"]
    peaks = (2**20, 2**21)
    result = report.Result("r50-infer", row, "cpu", "float32", "a photo", "same", *times, 0.9, 0.6, peaks, None)
    points = {name: [(1, 0.1, 0.2), (10, 0.3, 0.9)] for name in growth.AXES}
    text = report.markdown([result], points, 50e9, tmp_path / "growth.png")
    for wanted in ("1.50×", "90% (≥ 85%)", "1 MiB", "2 MiB", "![", "50 GFLOP/s", torch.__version__.split("+")[0]):
        assert wanted in text
    growth.plot(points, tmp_path / "growth.png")
    assert min(Image.open(tmp_path / "growth.png").size) > 400


def test_a_table_lines_up():
    lines = report.table(["a", "long head"], [["1", "2"], ["three", "4"]]).splitlines()
    assert len({len(line) for line in lines}) == 1 and lines[2] == "| 1     | 2         |"


@pytest.mark.parametrize(("value", "text"), [(0.0123, "12.3 ms"), (1.5, "1.5 s"), (0.9999, "1 s"), (1234.5, "1,234 s")])
def test_durations_have_three_digits(value, text):
    assert report.duration(value) == text


def test_random_boxes_lie_in_the_image():
    boxes = inputs.random_boxes(200, (50, 400), 5, 300)
    assert (boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all()
    assert (boxes[:, 2] <= 400).all() and (boxes[:, 3] <= 50).all()


class Square(Explorer):
    """A square whose side one control sets; the other control changes nothing that is seen."""

    width, height = 60, 60

    def __init__(self):
        self.start(Number("side", "Side", 10, 40, 10), Choice("idle", "Idle", ("a", "b")))

    def draw(self):
        sheet = Sheet(self.width, self.height)
        sheet.fill((0, 0, self.get("side"), self.get("side")), "#000000")
        return sheet


def test_an_event_is_a_change_that_brings_another_picture():
    square = Square()
    seen = list(explorers.events(square))
    assert [control for control, _ in seen] == ["side"] * 3  # 10 is where it stands
    assert all(seconds > 0 for _, seconds in seen)
    assert (square.get("side"), square.get("idle")) == (10, "a")


def waits(again) -> explorers.Wait:
    return explorers.Wait("Peel", "scene", (("picture", 0.5),), tuple(again))


def test_the_target_holds_for_95_of_100_events():
    quick, slow = ("stage", 0.010), ("instance", 0.040)
    assert waits([quick] * 95 + [slow] * 5).p95 == 0.010
    assert waits([quick] * 94 + [slow] * 6).p95 == 0.040
    assert waits([quick]).p95 == waits([quick] * 3).p95 == 0.010
    assert waits([quick] * 95 + [slow] * 5).met and not waits([quick] * 94 + [slow] * 6).met
    assert waits([quick, slow, slow]).median == 0.040
    assert waits([quick] * 9 + [slow]).slowest == slow


def test_the_table_of_explorers_says_met_and_missed():
    good, bad = report.explorers_table([waits([("stage", 0.0123)]), waits([("stage", 0.0423)])]).splitlines()[2:]
    assert "12.3 ms" in good and "≤ 30 ms" in good and "| met" in good and "500 ms" in good
    assert "42.3 ms" in bad and "| missed" in bad


def test_the_explorers_part_of_the_report_is_replaced_alone():
    new = "## Explorers\n\nnew\n"
    for old in ("# Top\n\n## Explorers\n\nold\n", "# Top\n"):
        assert report.with_section(old, new) == "# Top\n\n## Explorers\n\nnew\n"
    between = "# Top\n\n## Explorers\n\nold\n\n## Growth\n\nkept\n"
    assert report.with_section(between, new) == "# Top\n\n## Explorers\n\nnew\n\n## Growth\n\nkept\n"
    assert report.with_section(report.with_section(between, new), new) == report.with_section(between, new)


def test_explorers_can_be_measured_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(explorers, "OPENINGS", {"Peel": OPENINGS["Peel"]})
    monkeypatch.setattr(explorers, "PICTURES", ("scene",))
    (tmp_path / "RESULTS.md").write_text("# Next to torchvision\n\nas it was\n")
    assert run.main(["--rows", "explorers", "--quick", "--out", str(tmp_path)]) == 0
    written = (tmp_path / "RESULTS.md").read_text()
    assert written.startswith("# Next to torchvision\n\nas it was\n\n## Explorers\n")
    assert "| Peel     | scene" in written and "| Peel     | scene" in capsys.readouterr().out


def test_a_full_report_ends_with_the_explorers():
    text = report.markdown([], {}, 0, None, ["## Explorers\n\n| a |\n", "## Explorers in the browser\n\n| b |\n"])
    assert text.endswith("\n\n## Explorers\n\n| a |\n\n## Explorers in the browser\n\n| b |\n")


def test_answers_count_only_moves_that_brought_a_picture():
    own = browser.Answers("Peel", "arrow keys", 4, ((0.02, 0.05), (0.04, 0.06), (0.12, 0.15)))
    assert not own.met
    assert browser.Answers("Peel", "arrow keys", 4, ((0.02, 0.15), (0.1, 0.15))).met
    cells = [cell.strip() for cell in report.browser_table([own]).splitlines()[2].split("|")[1:-1]]
    times = ["40 ms", "120 ms", "120 ms", "p95 ≤ 100 ms", "missed", "60 ms", "150 ms"]
    assert cells == ["Peel", "arrow keys", "4", "3", *times]


@pytest.mark.browser
def test_answers_in_the_browser_can_be_measured_alone(tmp_path, monkeypatch, chromium):
    monkeypatch.setattr(browser, "OPENINGS", {"Deltas": OPENINGS["Deltas"]})
    (tmp_path / "RESULTS.md").write_text("# Next to torchvision\n\nas it was\n\n## Explorers\n\nkept\n")
    assert run.main(["--rows", "browser", "--quick", "--out", str(tmp_path)]) == 0
    written = (tmp_path / "RESULTS.md").read_text()
    assert written.startswith("# Next to torchvision\n\nas it was\n\n## Explorers\n\nkept\n\n## Explorers in the")
    assert "| Deltas   | box dragged | 8     | 8        |" in written


def test_without_a_browser_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(servers, "find_chromium", lambda: None)
    with pytest.raises(browser.NoBrowser, match="no Chromium"):
        run.main(["--rows", "browser"])
    assert run.sections(["browser"], run.arguments([])) == []
    assert "left out, no Chromium" in capsys.readouterr().out
