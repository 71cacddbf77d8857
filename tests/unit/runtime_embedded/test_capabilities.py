"""What a node may do."""

from __future__ import annotations

from labctl.runtime.embedded import capabilities


def test_numbers_are_those_of_the_kernel() -> None:
    assert capabilities.NUMBERS["NET_ADMIN"] == 12
    assert capabilities.NUMBERS["SYS_ADMIN"] == 21
    assert capabilities.NUMBERS["SETFCAP"] == 31
    assert capabilities.NUMBERS["CHECKPOINT_RESTORE"] == 40


def test_a_node_gets_the_usual_ones_and_what_it_asks_for() -> None:
    got = capabilities.granted(["net_admin", "CAP_SYS_ADMIN"])
    assert got == capabilities.DEFAULT | {"NET_ADMIN", "SYS_ADMIN"}


def test_no_node_may_make_devices_unless_it_asks() -> None:
    assert "MKNOD" not in capabilities.granted([])
    assert "MKNOD" in capabilities.granted(["ALL"])


def test_an_unknown_capability_is_said_to_be_lacking() -> None:
    assert capabilities.lacking(["NET_MAGIC"]) == ("NET_MAGIC",)
