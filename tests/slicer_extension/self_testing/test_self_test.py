"""The self test passes on a sound module and notices a broken one."""

from __future__ import annotations

from typing import Any

import pytest


def test_the_self_test_passes(module: Any, scene: Any, load_volume: None) -> None:
    module.SemGANTest().runTest()


def test_the_self_test_notices_a_wrong_segment(
    module: Any, scene: Any, load_volume: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from SemGANLib.SelfTesting import SelfTestClient

    monkeypatch.setattr(SelfTestClient, "BRIGHT", 90)  # the server finds less than the test expects
    with pytest.raises(AssertionError):
        module.SemGANTest().runTest()
