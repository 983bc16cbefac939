"""The list of corrections, as the panel shows it."""

from __future__ import annotations

from ..Protocols.CorrectionProtocol import CorrectionRow
from ..Translation import tr as _
from .CorrectionSession import CorrectionSession


def rows(session: CorrectionSession) -> list[CorrectionRow]:
    """List the corrections of a session, the oldest first; those that are not back yet at the end."""
    history = session.history
    current, done = history.current.number, [history.first, *history.steps]
    order = [step.number for step in done]
    first = _("The result as it came") if history.first.number == 0 else _("Earlier corrections")
    listed = [
        CorrectionRow(
            step.number,
            step.time,
            step.text if place else first,
            step.state,
            step.number == current and not session.pendings,
            order.index(current) < place,
            step.warning if place else "",
        )
        for place, step in enumerate(done)
    ]
    for place, pending in enumerate(session.pendings):
        running = pending.job is not None and pending.job.state == "running"
        state = "running" if running else "waiting"
        listed.append(CorrectionRow(session.next_number + place, pending.time, "; ".join(pending.texts), state))
    return listed
