"""Nobody is given an image that somebody else has just been given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.label_app.activelearning.reservations import Reservations
from monai_semgan.label_app.activelearning.strategies import strategies

pytestmark = pytest.mark.label
NAMES = ("semgan_out_of_domain", "semgan_disagreement", "random", "first")


class Clock:
    """Shows the time that a test wants."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ask(make_datastore: Callable[..., Any], clock: Clock) -> Callable[..., str | None]:
    """Asks for the next of three images."""
    datastore, known = make_datastore("a", "b", "c"), strategies(Reservations(600.0, clock))

    def ask(user: str | None, strategy: str = "first") -> str | None:
        found = known[strategy]({"strategy": strategy, "client_id": user}, datastore)
        return found["id"] if found else None

    ask.datastore = datastore  # type: ignore[attr-defined]
    return ask


@pytest.mark.parametrize("one", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_two_users_never_get_the_same_image_whatever_their_strategies(ask: Any, one: str, other: str) -> None:
    given = [ask("ann", one), ask("bob", other), ask("ann", one)]
    assert sorted(given) == ["a", "b", "c"]
    assert ask("cid", one) is None


def test_an_image_is_free_again_after_ten_minutes(ask: Any, clock: Clock) -> None:
    assert [ask("ann") for _ in range(3)] == ["a", "b", "c"]
    clock.now += 599
    assert ask("bob") is None
    clock.now += 1
    assert ask("bob") == "a"


def test_a_user_who_asks_again_gets_another_image_until_only_the_own_are_left(ask: Any, clock: Clock) -> None:
    given = []
    for _ in range(5):
        given.append(ask("ann"))
        clock.now += 1
    assert given == ["a", "b", "c", "a", "b"]


def test_being_given_an_own_image_again_reserves_it_again(ask: Any, clock: Clock) -> None:
    assert [ask("ann") for _ in range(3)] == ["a", "b", "c"]
    clock.now += 500
    assert ask("ann") == "a"
    clock.now += 200
    assert [ask("bob"), ask("bob"), ask("cid")] == ["b", "c", None]


def test_clients_without_a_name_count_as_one_user(ask: Any) -> None:
    assert [ask(None), ask("ann"), ask(None), ask(None)] == ["a", "b", "c", "a"]


def test_a_labelled_image_is_not_given_out(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "label.nii.gz").touch()
    ask.datastore.save_label("a", str(tmp_path / "label.nii.gz"), "final", {})
    assert ask("ann") == "b"


def test_requests_at_the_same_time_get_different_images(make_datastore: Callable[..., Any]) -> None:
    datastore, known = make_datastore(*(f"scan{i:02}" for i in range(16))), strategies()
    given: list[str] = []

    class Slow:
        """Lets other threads run between looking and choosing."""

        def __getattr__(self, name: str) -> Any:
            time.sleep(0.0005)
            return getattr(datastore, name)

    def user(name: str) -> None:
        strategy = "semgan_out_of_domain"
        given.append(known[strategy]({"strategy": strategy, "client_id": name}, Slow())["id"])

    threads = [threading.Thread(target=user, args=(f"user {i}",)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given)) == 16


def test_what_monai_label_notes_of_images_given_out_outlives_a_restart(
    make_datastore: Callable[..., Any], clock: Clock
) -> None:
    note = {"first": {"ts": int(clock.now) - 60, "client_id": "ann"}}
    make_datastore("a", "b").update_image_info("a", {"strategy": note})
    datastore, known = make_datastore(), strategies(Reservations(600.0, clock))
    assert known["random"]({"strategy": "random", "client_id": "bob"}, datastore)["id"] == "b"
    assert known["first"]({"strategy": "first", "client_id": "cid"}, datastore) is None
    clock.now += 540
    assert known["first"]({"strategy": "first", "client_id": "cid"}, datastore)["id"] == "a"


@pytest.mark.parametrize("notes", ["text", [1], {"first": 1}, {"first": {"ts": "soon"}}, {"first": {"ts": 9e99}}])
def test_odd_notes_in_an_images_info_reserve_nothing(ask: Any, notes: Any) -> None:
    ask.datastore.update_image_info("a", {"strategy": notes})
    assert ask("ann") == "a"
