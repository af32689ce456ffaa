"""What the commands share: the log as lines of standard error."""

from __future__ import annotations

import logging

import pytest

from deepix.cli.common import progress_bar, show_log


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({}, ["packing [3] pictures", "odd", "error: broken"]),
        ({"quiet": True}, ["error: broken"]),
        ({"verbose": True}, ["detail", "packing [3] pictures", "odd", "error: broken"]),
    ],
)
def test_the_log_becomes_lines_of_standard_error(
    options: dict[str, bool], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("deepix.training.engine")
    level = logging.getLogger("deepix").level
    with show_log(**options), progress_bar(True) as progress:
        progress.add_task("working", total=2)
        logger.debug("detail")
        logger.info("packing [%d] pictures", 3)
        logger.warning("odd")
        logger.error("broken")
    logger.info("not shown")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == shown
    assert logging.getLogger("deepix").level == level
    assert not logging.getLogger("deepix").handlers


def test_a_command_that_calls_another_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    with show_log(), show_log():
        logging.getLogger("deepix.jobs").info("once")
    assert capsys.readouterr().err == "once\n"
