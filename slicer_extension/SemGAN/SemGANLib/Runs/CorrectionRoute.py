"""The way of corrections to the server: one after the other, onto a job whose result is the state that they change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ..Protocols.ClientProtocol import Client
from ..Scene import Geometry
from ..Scene.CorrectionHistory import CorrectionHistory
from ..Scene.VolumeExport import shape_of
from ..Server.Errors import Conflict, Forbidden, Gone
from ..Translation import tr as _
from ..Types.ResultTypes import Result
from ..Views import ERROR, WARNING
from .CorrectionFollowing import Guard
from .CorrectionJob import Base, Pending, Sent, in_force, send
from .CorrectionRoot import Root, Rooting
from .CorrectionSurroundings import Surroundings
from .CorrectionTexts import failed_text


@dataclass(frozen=True)
class RouteSteps:
    """What is called on the way, in the main thread.

    Attributes:
        sent: called when the server has a correction that somebody waits for.
        unwanted: called when it has one that nobody waits for any more.
        failed: called with a correction that could not be sent, and the error.
        gave_up: called with corrections that are not sent; the user knows why.
        restarted: called when partial results of corrections that are not back yet mean nothing any more.
        say: called with a sentence about where it stands; empty when there is nothing to say.
        changed: called when anything else has changed.
    """

    sent: Callable[[], None]
    unwanted: Callable[[Pending], None]
    failed: Callable[[Pending, Exception], None]
    gave_up: Callable[[Sequence[Pending]], None]
    restarted: Callable[[], None]
    say: Callable[[str], None]
    changed: Callable[[], None]


class Route:
    """Brings the corrections of a result to the server, in their order.

    Args:
        volume: the volume node.
        result: what is corrected.
        history: of the segmentation.
        pendings: corrections that are not back yet, in their order; the owner's own list.
        around: the rest of the module.
        guard: makes a call give up all corrections if it fails.
        steps: what is called on the way.
    """

    def __init__(
        self,
        volume: Any,
        result: Result,
        history: CorrectionHistory,
        pendings: list[Pending],
        around: Surroundings,
        guard: Guard,
        steps: RouteSteps,
    ) -> None:
        self._volume, self._result, self._history, self._pendings = volume, result, history, pendings
        self._around, self._runner, self._guarded, self._steps = around, around.runner, guard, steps
        self._values = {label.name: label.id for label in result.labels}
        self._root = Root.read(history.root) or (Root.of(result) if result.job else None)
        self._sure = self._sending = self._closed = False
        self._rooting: Rooting | None = None
        self._newest = 0

    @property
    def job(self) -> str:
        """Id of the job whose result is corrected; empty where there is none at present."""
        return self._root.job if self._root is not None else ""

    def base(self) -> Base:
        """Tell on which state the next correction is made."""
        step, root = self._history.current, self._root
        servers = step.servers if root is not None and step.root == root.job else None
        affine, shape = Geometry.ijk_to_world(self._volume), shape_of(self._volume)
        return Base(self._history.label, affine, shape, servers, self._sure, self._newest, self._values)

    def send_next(self) -> None:
        """Send the first correction that the server does not have, unless one is being sent."""
        pending = next((one for one in self._pendings if one.job is None), None)
        if pending is None or self._sending or self._rooting is not None:
            return
        client = self._around.client()
        if client is None:
            self._around.tell(WARNING, _("Connect to a server first."))
            self._steps.gave_up([one for one in self._pendings if one.job is None])
        elif self._root is None:
            self._make_root(client)
        else:
            self._bring(pending, client, self._root)

    def tell_state(self) -> None:
        """Have the server go to the state in force, for whoever else looks at it; the next correction does so too."""
        client, root, number = self._around.client(), self._root, self.base().servers
        if client is None or root is None or number is None or self._sending or self._pendings:
            return
        self._sending = True  # a correction that came first would be ended by it

        def told(done: bool) -> None:
            self._sending = False
            if self._closed:
                return
            now = self.base().servers
            self._sure = done and now == number
            self.send_next()
            if now != number:
                self.tell_state()

        self._runner.run(lambda: in_force(client, root, number), self._guarded(told), lambda _error: told(False))

    def doubt(self) -> None:
        """Note that the server may have another state in force, unless it has corrections that are not back yet."""
        self._sure = self._sure and any(one.job is not None for one in self._pendings)

    def take_back(self, pending: Pending) -> None:
        """Have a correction brought to the server once more: it ended in the middle of it."""
        pending.job, pending.version, pending.moved = None, 0, True
        self._in_the_servers_order()
        self.doubt()
        self._steps.restarted()

    def uproot(self) -> None:
        """Have all that is not back yet corrected on another job: the one that was corrected is gone."""
        self._root, self._sure = None, False
        for pending in self._pendings:
            pending.job, pending.version, pending.moved = None, 0, True
        self._steps.restarted()

    def stop(self) -> None:
        """Prepare no other job any more: nothing waits for it."""
        if self._rooting is not None:
            self._rooting.stop()
            self._rooting = None
            self._steps.say("")

    def reset(self) -> None:
        """Go on after a call has failed."""
        self._sending = False

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True

    def _in_the_servers_order(self) -> None:
        """Put those that the server has before those that it has not: that is how it corrects."""
        self._pendings.sort(key=lambda one: one.job is None)

    def _bring(self, pending: Pending, client: Client, root: Root) -> None:
        self._sending = True
        base, compressed = self.base(), self._around.compressed()
        self._runner.run(  # never dropped: a correction that nobody waits for is cancelled when its answer comes
            lambda: send(client, root, pending, base, compressed),
            self._guarded(lambda sent: self._sent(pending, sent, client)),
            self._guarded(lambda error: self._not_sent(pending, error)),
        )

    def _sent(self, pending: Pending, sent: Sent, client: Client) -> None:
        self._sending = False
        pending.job, pending.upload, pending.client = sent.job, sent.upload, client
        self._newest = max(self._newest, sent.job.correction or 0)
        self._in_the_servers_order()  # one before it may have been taken back meanwhile
        if pending.dropped:
            self._steps.unwanted(pending)
        else:
            self._sure = True
            self._steps.sent()
        if not self._closed:
            self.send_next()
            self.tell_state()
            self._steps.changed()

    def _not_sent(self, pending: Pending, error: Exception) -> None:
        self._sending = False
        if self._closed:
            return
        elsewhere = isinstance(error, (Gone, Conflict, Forbidden))  # of somebody whose scene this was, perhaps
        if elsewhere and not pending.moved:
            self.uproot()
        elif not pending.dropped:
            self._steps.failed(pending, error)
        self.send_next()

    def _make_root(self, client: Client) -> None:
        if not self._around.may_send():
            self._steps.gave_up(self._pendings)
            return
        self._rooting = Rooting(
            self._volume,
            self._result,
            client,
            self._runner,
            self._around.runs,
            self._around.compressed(),
            self._steps.say,
            self._guarded(self._rooted),
            self._guarded(self._not_rooted),
        )
        self._rooting.start()

    def _rooted(self, root: Root) -> None:
        self._rooting, self._root, self._sure, self._newest = None, root, False, 0
        self._history.root = root.text()
        self._steps.say("")
        self.send_next()

    def _not_rooted(self, error: Exception) -> None:
        self._rooting = None
        self._steps.say("")
        self._around.tell(ERROR, failed_text(str(error)))
        self._steps.gave_up(self._pendings)
