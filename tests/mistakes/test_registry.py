"""The mistakes are known elsewhere by the same names."""

from mrcnn_edu.__main__ import MISTAKES as NAMED_ON_THE_COMMAND_LINE
from mrcnn_edu.mistakes import MISTAKES


def test_the_command_line_names_every_mistake():
    assert sorted(NAMED_ON_THE_COMMAND_LINE) == sorted(MISTAKES)
