"""``operator check``: look once, now, without the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.exits import FAILED, UNREACHABLE
from bot.cli.options import Config, Json

if TYPE_CHECKING:
    from bot.cli.output import JsonValue
    from subjects.clock import Clock
    from subjects.protocols import AnySubject, Verdict

GAP_S = (0.5, 2.0)
"""The time between the two looks that rates need: the subject's interval, within these bounds."""
OBSERVE_S = 10.0
"""A look that takes longer is given up."""


@dataclass(frozen=True, slots=True)
class _Judged:
    subject: str
    invariant: str
    key: str
    severity: str
    threshold: float
    unit: str
    verdict: Verdict


def check(
    subject: Annotated[str | None, typer.Argument(help="Only this one.", show_default=False)] = None,
    *,
    config: Config = None,
    json: Json = False,
) -> None:
    """Look at the subjects now and judge every invariant.

    At every key, without graces and without the database. Looks twice, a moment apart, as rates need. Exit code 0
    when everything holds; 1 when something is broken or can't be seen; 4 when a subject can't be observed at all.
    """
    import asyncio  # noqa: PLC0415  `--help` needs none of these

    from bot import settings  # noqa: PLC0415
    from bot.cli import output  # noqa: PLC0415
    from bot.subject_setup import build, build_all  # noqa: PLC0415
    from subjects.clock import SystemClock  # noqa: PLC0415

    clock = SystemClock()
    chosen = settings.load(config=config)
    built = build_all(chosen, clock) if subject is None else {subject: build(chosen, subject, clock)}
    gaps = {name: min(max(chosen.subjects[name].interval_s, GAP_S[0]), GAP_S[1]) for name in built}
    judged, unseen = asyncio.run(_judge_all(list(built.values()), gaps, clock))
    if json:
        verdicts: list[JsonValue] = [_shape(each) for each in judged]
        output.document({"verdicts": verdicts, "unobservable": unseen})
    else:
        _show(judged)
        for name, why in unseen.items():
            output.line(f"{name} can't be observed: {why}", style="bold red")
    if unseen:
        raise typer.Exit(UNREACHABLE)
    if any(_word(each.verdict) != "holds" for each in judged):
        raise typer.Exit(FAILED)


async def _judge_all(
    subjects: Sequence[AnySubject], gaps: dict[str, float], clock: Clock
) -> tuple[list[_Judged], dict[str, str]]:
    import asyncio  # noqa: PLC0415  `--help` needs it not

    async with asyncio.TaskGroup() as group:
        tasks = {each.name: group.create_task(_judge(each, gaps[each.name], clock)) for each in subjects}
    judged: list[_Judged] = []
    unseen: dict[str, str] = {}
    for name, task in tasks.items():
        found = task.result()
        if isinstance(found, str):
            unseen[name] = found
        else:
            judged += found
    return judged, unseen


async def _judge(subject: AnySubject, gap_s: float, clock: Clock) -> list[_Judged] | str:
    import asyncio  # noqa: PLC0415  `--help` needs none of these

    from scheduler.checks import judge  # noqa: PLC0415
    from subjects.protocols import Observation, Unobservable  # noqa: PLC0415

    try:
        async with asyncio.timeout(2 * OBSERVE_S):
            first, began = await subject.observe(), clock.monotonic()
            await asyncio.sleep(gap_s)
            snapshot, ended = await subject.observe(), clock.monotonic()
    except Unobservable as error:
        return str(error)
    except TimeoutError:
        return f"it took longer than {2 * OBSERVE_S:g} s"
    except Exception as error:  # noqa: BLE001  a subject's code is not ours: its failure is a finding
        return f"the check failed: {type(error).__name__}: {error}"
    finally:
        await subject.aclose()
    observation = Observation(clock.now(), snapshot, first, ended - began)
    return [
        _Judged(subject.name, each.name, key, each.severity.value, each.threshold, each.unit, verdict)
        for each in subject.invariants
        for key, verdict in judge(each, observation).items()
    ]


def _word(verdict: Verdict) -> str:
    return type(verdict).__name__.lower()


def _value(verdict: Verdict) -> float | None:
    from subjects.protocols import Unknown  # noqa: PLC0415  `--help` needs it not

    return None if isinstance(verdict, Unknown) else verdict.value


def _detail(verdict: Verdict) -> str | None:
    from subjects.protocols import Broken, Unknown  # noqa: PLC0415  `--help` needs it not

    if isinstance(verdict, Broken):
        return verdict.detail
    return verdict.why if isinstance(verdict, Unknown) else None


def _shape(each: _Judged) -> dict[str, JsonValue]:
    return {
        "subject": each.subject,
        "violation": f"{each.invariant}:{each.key}",
        "invariant": each.invariant,
        "key": each.key,
        "verdict": _word(each.verdict),
        "severity": each.severity,
        "value": _value(each.verdict),
        "threshold": each.threshold,
        "unit": each.unit,
        "detail": _detail(each.verdict),
    }


def _show(judged: Sequence[_Judged]) -> None:
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.words import quantity  # noqa: PLC0415

    rows = []
    for each in judged:
        value = _value(each.verdict)
        rows.append(
            (
                each.subject,
                f"{each.invariant}:{each.key}",
                _word(each.verdict),
                "" if value is None else quantity(value, each.unit),
                quantity(each.threshold, each.unit),
                _detail(each.verdict) or "",
            )
        )
    output.table(("subject", "key", "verdict", "value", "threshold", "detail"), rows)
