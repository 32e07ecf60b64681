"""Every exercise of every lesson: the solution passes, each known wrong answer is refused by its own message."""

import pytest

from mrcnn_edu.exercises.base import SHELF, all_inputs, call, check, same

EXERCISES = list(SHELF.known.values())
PROBES = [(task, number) for task in EXERCISES for number in range(len(task.probes))]


@pytest.mark.parametrize("task", EXERCISES, ids=lambda task: task.name)
def test_the_solution_passes(task):
    assert check(task, task.reference).state == "right"


@pytest.mark.parametrize(
    "task, number", PROBES, ids=[f"{task.name}-{task.probes[n].wrong.__name__}-{n}" for task, n in PROBES]
)
def test_each_wrong_answer_is_refused_by_its_own_message(task, number):
    probe = task.probes[number]
    verdict = check(task, probe.wrong)
    assert verdict.state == "wrong"
    assert verdict.message.startswith(probe.message)


@pytest.mark.parametrize("task", EXERCISES, ids=lambda task: task.name)
def test_messages_are_distinct_and_probes_are_really_wrong(task):
    assert len({probe.message for probe in task.probes}) == len(task.probes)
    for probe in task.probes:
        assert not same(call(probe.wrong, probe.inputs), call(task.reference, probe.inputs))


@pytest.mark.parametrize("task", EXERCISES, ids=lambda task: task.name)
def test_an_untouched_exercise_is_called_empty_not_wrong(task):
    assert check(task, lambda *inputs: ...).state == "empty"


@pytest.mark.parametrize("task", EXERCISES, ids=lambda task: task.name)
def test_a_forgotten_return_is_named(task):
    verdict = check(task, lambda *inputs: None)
    assert verdict.state == "wrong" and "Is a return missing?" in verdict.message


@pytest.mark.parametrize("task", EXERCISES, ids=lambda task: task.name)
def test_an_answer_that_only_knows_the_first_case_is_refused(task):
    first = call(task.reference, task.cases[0])
    assert check(task, lambda *inputs: first).state == "wrong"


@pytest.mark.parametrize("task", EXERCISES, ids=lambda task: task.name)
def test_an_exercise_has_what_the_reader_needs(task):
    assert len(task.hints) >= 2 and task.reasoning and task.checked and task.task
    assert len(list(all_inputs(task))) > 10
