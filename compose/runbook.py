"""The demo's runbook: for each invariant, what may be behind it and what mends that; a page that the card links to."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compose.faults import FaultInfo

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Runbook: rate limiter</title>
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark }} body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto;
padding: 0 1rem }} h2 {{ font-size: 1.1rem; margin: 1.6rem 0 .3rem }} p {{ margin: .2rem 0 }} small {{ opacity: .75 }}
</style><h1>Runbook: rate limiter</h1>
<p><small>Of the demo's world, not of a production system.</small></p>
{sections}
<p><small>In a terminal: <code>make mend</code>, or <code>make mend FAULT=…</code>; or the World panel of the local
Slack.</small></p></html>
"""


def page(faults: Sequence[FaultInfo]) -> str:
    """The page, from the faults that the world can have."""
    by_invariant: dict[str, list[FaultInfo]] = {}
    for fault in faults:
        invariants = {broken.partition(":")[0] for broken in fault.breaks}
        if len(invariants) == 1:  # those that break several are made of these
            by_invariant.setdefault(invariants.pop(), []).append(fault)
    sections = [
        f"<h2><code>{escape(invariant)}</code> is broken</h2>"
        + "".join(f"<p>{escape(one.mechanism)} <strong>{escape(one.cure)}</strong></p>" for one in causes)
        for invariant, causes in sorted(by_invariant.items())
    ]
    return PAGE.format(sections="\n".join(sections))
