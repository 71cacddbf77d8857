"""Which processes a kill means, by their command lines."""

from __future__ import annotations

import pytest

from labctl.fault.process import is_called


@pytest.mark.parametrize(
    ("words", "process", "meant"),
    [
        (("/usr/lib/frr/bgpd", "--log", "stdout"), "bgpd", True),
        (("python3", "-I", "-m", "labctl.overlay.agent", "/etc/labctl/agent.json"), "agent", True),
        (("/bin/sh", "/etc/labctl/boot"), "agent", False),
        (("cat", "/etc/labctl/agent.json"), "agent", False),
        (("tail", "/run/frr/bgpd.log"), "bgpd", False),
        (("java", "org.apache.zookeeper.server.quorum.QuorumPeerMain"), "QuorumPeerMain", True),
        ((), "agent", False),
    ],
)
def test_a_process_is_known_by_the_last_part_of_a_word(
    words: tuple[str, ...], process: str, *, meant: bool
) -> None:
    line = b"".join(word.encode() + b"\0" for word in words)
    assert is_called(line, process) is meant
