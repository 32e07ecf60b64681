"""A report stays readable however many faults there are, and loses none."""

from mrcnn_edu.datasets import Fault, Report
from mrcnn_edu.datasets.faults import SHOWN, file_fault, grouped, short


def missing(number):
    return file_fault(
        f"{number}.png", FileNotFoundError(f"/x/{number}.png: no such image file; did you mean {number}.jpg")
    )


def test_one_fault_is_written_out():
    assert grouped([Fault("a.png", "object 3", "boxes", "(1, 2) is odd", "even it out")]) == [
        "a.png, object 3: boxes: (1, 2) is odd; even it out"
    ]


def test_many_faults_of_one_kind_are_one_line_with_a_count_and_the_first_three():
    faults = [
        Fault(f"{k}.png", f"annotation id {k}", "bbox", f"bbox [{k}] is odd", "even it out") for k in range(10000)
    ]
    report = Report("set", 10000, 10000, faults)
    lines = str(report).splitlines()
    assert len(report.faults) == 10000 and len(lines) == 2 and len(lines[1]) < 400
    assert lines[0] == "set: 10000 images, 10000 objects, 10000 faults"
    assert "bbox, 10000 times" in lines[1] and "even it out" in lines[1] and "and 9997 more" in lines[1]
    assert [f"annotation id {k}:" in lines[1] for k in range(SHOWN + 1)] == [True] * SHOWN + [False]


def test_kinds_stay_apart():
    faults = [Fault("a.png", f"object {k}", "masks", "is empty", ("draw it", "remove it")[k % 2]) for k in range(8)]
    assert [line.partition(" times")[0] for line in grouped(faults)] == ["masks, 4"] * 2


def test_a_hint_that_names_the_file_is_still_of_one_kind():
    assert len(grouped([missing(k) for k in range(50)])) == 1


def test_many_kinds_are_counted():
    faults = [
        Fault("a.png", "", f"field{chr(97 + k % 26)}{chr(97 + k // 26)}", "is odd", "even it out") for k in range(300)
    ]
    lines = grouped(faults)
    assert len(lines) == 26 and lines[-1] == "and 275 more, of 275 other kinds"


def test_errors_of_files_keep_their_words():
    assert str(missing(3)) == "3.png: file: /x/3.png: no such image file; did you mean 3.jpg"
    assert str(file_fault("a", OSError("odd"))) == "a: file: odd; repair or remove this image"


def test_long_values_are_cut():
    assert len(short([7] * 1000)) < 70 and short([7]) == "[7]"
