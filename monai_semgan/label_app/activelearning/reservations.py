"""Nobody is given an image that somebody else was given a short while ago."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

RESERVED_SECONDS = 600.0

Choose = Callable[[Any], "dict[str, Any] | None"]
"""Given a datastore, chooses one of its unlabelled images: `{"id": ...}`; None if there is none."""

Usable = Callable[[str, Any], bool]
"""Given the id of an image and the datastore."""


@dataclass(frozen=True)
class Reservation:
    """Who was given an image, and when.

    Attributes:
        user: empty for clients that give no name, who count as one user.
        since: seconds since the epoch.
    """

    user: str
    since: float


class Reservations:
    """Hands out images; safe to use from several threads.

    MONAI Label notes in the image's info who was given it by which strategy. These notes are heeded too, so that a
    server that was started anew knows of the images handed out before.

    Args:
        seconds: how long an image stays reserved.
        clock: seconds since the epoch.
    """

    def __init__(self, seconds: float = RESERVED_SECONDS, clock: Callable[[], float] = time.time) -> None:
        self.seconds, self.clock = seconds, clock
        self._lock = threading.Lock()
        self._given: dict[str, Reservation] = {}

    def hand_out(self, user: str, datastore: Any, choose: Choose) -> dict[str, Any] | None:
        """Let an image be chosen among those that are free, and reserve it.

        A user who asks again is given another image, until only images of the user's own are left: of these, the one
        that was given out first.

        Args:
            user: who asks.
            datastore: of MONAI Label.
            choose: is shown the datastore with the free images alone.

        Returns:
            What `choose` returned; None if every unlabelled image is reserved for others.
        """
        with self._lock:
            now = self.clock()
            self._given = {image: one for image, one in self._given.items() if self._valid(one, now)}
            images = datastore.get_unlabeled_images()
            held = {image: found for image in images if (found := self._held(image, datastore, now))}
            free = [image for image in images if image not in held]
            own = sorted((i for i, found in held.items() if found.user == user), key=lambda i: (held[i].since, i))
            for images in [free, *([image] for image in own)]:
                chosen = choose(_Only(datastore, images)) if images else None
                if chosen and chosen.get("id"):
                    self._given[chosen["id"]] = Reservation(user, now)
                    return chosen
            return None

    def _held(self, image: str, datastore: Any, now: float) -> Reservation | None:
        """Return the latest reservation of an image that has not run out."""
        found = [one for one in noted(datastore.get_image_info(image)) if self._valid(one, now)]
        if image in self._given:
            found.append(self._given[image])
        return max(found, key=lambda one: one.since, default=None)

    def _valid(self, one: Reservation, now: float) -> bool:
        return 0 <= now - one.since < self.seconds


class Reserving(Strategy):
    """A strategy that chooses among the images that are not reserved for others.

    Args:
        strategy: chooses.
        reservations: shared by all strategies of a server.
        usable: tells whether an image can be opened; all can when left out.
    """

    def __init__(self, strategy: Strategy, reservations: Reservations, usable: Usable | None = None) -> None:
        super().__init__(strategy.description)
        self.strategy, self.reservations, self.usable = strategy, reservations, usable

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """Choose an image for the user that the request names: `client_id`, as MONAI Label's clients do, or `user`."""
        user = str(request.get("client_id") or request.get("user") or "")
        return self.reservations.hand_out(user, datastore, lambda free: self._choose(request, free))

    def _choose(self, request: Mapping[str, Any], free: Any) -> dict[str, Any] | None:
        """Choose, and go on to the next image where one cannot be used."""
        images = set(free.get_unlabeled_images())
        while images:
            chosen = self.strategy(request, _Only(free, images))
            image = chosen.get("id") if chosen else None
            if self.usable is None or not image or self.usable(image, free):
                return chosen
            images.discard(image)
        return None


def noted(info: Mapping[str, Any]) -> list[Reservation]:
    """Return reservations in an image's info, as MONAI Label writes them; anything else there is passed over."""
    notes = info.get("strategy")
    values = notes.values() if isinstance(notes, dict) else ()
    return [
        Reservation(str(note.get("client_id") or ""), float(note["ts"]))
        for note in values
        if isinstance(note, dict) and isinstance(note.get("ts"), int | float)
    ]


class _Only:
    """A datastore that shows some of its unlabelled images."""

    def __init__(self, datastore: Any, images: Collection[str]) -> None:
        self._datastore, self._images = datastore, set(images)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._datastore, name)

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return [image for image in self._datastore.get_unlabeled_images(label_tag, labels) if image in self._images]
