"""``operator subjects``: what is watched, and by which invariants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.cli.options import Config, Json

if TYPE_CHECKING:
    from bot.cli.output import JsonValue
    from bot.settings import Settings
    from subjects.protocols import AnySubject


def subjects(*, config: Config = None, json: Json = False) -> None:
    """Show what is watched: invariants, thresholds, graces.

    Reads the settings alone.
    """
    from bot import settings  # noqa: PLC0415  `--help` needs none of these
    from bot.cli import output  # noqa: PLC0415
    from bot.subject_setup import build_all  # noqa: PLC0415
    from subjects.clock import SystemClock  # noqa: PLC0415

    chosen = settings.load(config=config)
    built = build_all(chosen, SystemClock())
    if json:
        output.document({"subjects": [_shape(chosen, each) for each in built.values()]})
        return
    for subject in built.values():
        _show(chosen, subject)


def _show(chosen: Settings, subject: AnySubject) -> None:
    from bot.cli import output  # noqa: PLC0415  `--help` needs none of these
    from bot.words import duration, quantity  # noqa: PLC0415

    every = duration(chosen.subjects[subject.name].interval_s)
    output.line(f"{subject.name}: {subject.title}, looked at every {every}", style="bold")
    output.table(
        ("invariant", "severity", "threshold", "grace", "keys", "sentence"),
        [
            (
                each.name,
                each.severity.value,
                quantity(each.threshold, each.unit),
                duration(each.grace_s),
                ", ".join(each.expected[:4])
                + (f" and {len(each.expected) - 4} more" if len(each.expected) > 4 else ""),
                each.sentence,
            )
            for each in subject.invariants
        ],
    )


def _shape(chosen: Settings, subject: AnySubject) -> dict[str, JsonValue]:
    return {
        "subject": subject.name,
        "kind": chosen.subjects[subject.name].kind,
        "title": subject.title,
        "interval_s": chosen.subjects[subject.name].interval_s,
        "runbook": subject.runbook,
        "invariants": [
            {
                "invariant": each.name,
                "sentence": each.sentence,
                "severity": each.severity.value,
                "threshold": each.threshold,
                "unit": each.unit,
                "grace_s": each.grace_s,
                "blind_grace_s": each.blind_grace_s,
                "keys": list(each.expected),
                "runbook": each.runbook,
            }
            for each in subject.invariants
        ],
    }
