from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from bot.trouble import Trouble
from tests.clock import ManualClock


def test_it_is_said_once_a_minute_and_once_when_it_is_over() -> None:
    structlog.reset_defaults()
    clock = ManualClock()
    with capture_logs() as lines:
        trouble = Trouble("it is wrong", "it is right", clock)
        trouble.over()
        for _ in range(121):
            trouble.met("because\nof this")
            clock.advance(1)
        assert trouble.now == "because of this"
        trouble.over()
        trouble.over()
    assert trouble.now is None
    said = [(line["event"], line.get("error"), line.get("after_s")) for line in lines]
    assert said == [("it is wrong", "because of this", None)] * 3 + [("it is right", None, 121.0)]


def test_one_that_comes_and_goes_does_not_fill_the_log() -> None:
    structlog.reset_defaults()
    clock = ManualClock()
    with capture_logs() as lines:
        trouble = Trouble("it is wrong", "it is right", clock)
        for _ in range(50):
            trouble.met(ValueError())
            assert trouble.now == "ValueError"
            trouble.over()
            clock.advance(1)
    assert [line["event"] for line in lines] == ["it is wrong", "it is right"]
