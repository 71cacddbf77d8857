"""Every router chooses among equal next hops by a hash of its own."""

from __future__ import annotations

from labctl.lab.ecmp_seed import hash_seed


def test_two_nodes_have_two_seeds_and_each_keeps_its_own() -> None:
    assert hash_seed("r1") != hash_seed("r2")
    assert hash_seed("r1") == hash_seed("r1")


def test_no_name_has_the_seed_that_stands_for_the_machine_s_own() -> None:
    # CRC-32 of the empty text is 0, which the kernel takes for "the same as everybody".
    assert hash_seed("") == 1
