"""The image with the highest score comes first."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.label_app.activelearning.strategies import HighestScore, hold, strategies
from monai_semgan.label_app.image_ids import image_state

pytestmark = pytest.mark.label


def order(datastore: Any, strategy: str = "semgan_out_of_domain") -> list[str]:
    """Images in the order in which one user is given them."""
    choose = strategies()[strategy]
    return [choose({"strategy": strategy, "client_id": "ann"}, datastore)["id"] for _ in datastore.list_images()]


def test_images_come_by_their_score_each_strategy_by_its_own(make_datastore: Callable[..., Any]) -> None:
    datastore = make_datastore("a", "b", "c")
    for image, out_of_domain, disagreement in (("a", 0.1, 0.9), ("b", 0.3, 0.5), ("c", 0.2, 0.7)):
        scores = {"out_of_domain": out_of_domain, "disagreement": disagreement, "model": "0" * 64}
        datastore.update_image_info(image, {"semgan_scores": scores})
    assert order(datastore) == ["b", "c", "a"]
    assert order(datastore, "semgan_disagreement") == ["a", "c", "b"]


def test_images_without_a_score_come_last(make_datastore: Callable[..., Any]) -> None:
    datastore = make_datastore("a", "b", "c", "d")
    datastore.update_image_info("c", {"semgan_scores": {"out_of_domain": 0.0}})
    datastore.update_image_info("b", {"semgan_scores": {"out_of_domain": 0.4}})
    assert order(datastore)[:2] == ["b", "c"]


def test_images_without_a_score_come_in_random_order(make_datastore: Callable[..., Any]) -> None:
    datastore = make_datastore("a", "b", "c")
    firsts = {HighestScore("out_of_domain", "", random.Random(i))({}, datastore)["id"] for i in range(20)}
    assert firsts == {"a", "b", "c"}


@pytest.mark.parametrize("odd", ["high", None, float("nan"), float("inf"), {}, [1.0]])
def test_a_score_that_is_no_number_is_none(odd: Any, make_datastore: Callable[..., Any]) -> None:
    datastore = make_datastore("a", "b")
    datastore.update_image_info("a", {"semgan_scores": {"out_of_domain": odd}})
    datastore.update_image_info("b", {"semgan_scores": {"out_of_domain": -1.0}})
    assert order(datastore)[0] == "b"
    datastore.update_image_info("b", {"semgan_scores": odd})
    assert set(order(datastore)) == {"a", "b"}


@pytest.mark.parametrize("name", ["semgan_out_of_domain", "semgan_disagreement", "random", "first"])
def test_without_images_there_is_no_next_one(name: str, make_datastore: Callable[..., Any]) -> None:
    assert strategies()[name]({"strategy": name}, make_datastore()) is None


def test_name_and_scores_of_version_0_1_still_count(make_datastore: Callable[..., Any]) -> None:
    datastore = make_datastore("a", "b")
    datastore.update_image_info("a", {"semgan_scores": {"residual": 0.9}})
    datastore.update_image_info("b", {"semgan_scores": {"out_of_domain": 0.4}})
    for name in ("semgan_out_of_domain", "semgan_residual"):
        assert strategies()[name]({}, datastore) == {"id": "a", "score": 0.9}


def test_scores_of_another_model_or_of_another_file_do_not_hold(make_datastore: Callable[..., Any]) -> None:
    datastore = make_datastore("a")
    scores = {"out_of_domain": 0.4, "model": "0" * 64, "image_state": image_state("a", datastore)}
    assert hold(scores, "a", datastore, "0" * 64) and hold(scores, "a", datastore, "")
    assert not hold(scores, "a", datastore, "1" * 64)
    assert not hold({**scores, "image_state": "of another file"}, "a", datastore, "0" * 64)
    assert not hold(None, "a", datastore, "0" * 64)
