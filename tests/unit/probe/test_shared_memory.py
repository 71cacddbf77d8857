"""Memory files of a measurement do not outlive it, whoever keeps the objects."""

from __future__ import annotations

from pathlib import Path

from labctl.probe.shared_memory import SampleBuffer


def memory_files() -> int:
    """Descriptors and mappings of this process that are memory files of labctl."""
    links = [link for link in Path("/proc/self/fd").iterdir() if "memfd:labctl-test" in target(link)]
    return len(links) + Path("/proc/self/maps").read_text().count("memfd:labctl-test")


def target(link: Path) -> str:
    """What a descriptor leads to; empty for one that is closed by now."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def test_five_hundred_measurements_leave_no_memory_file() -> None:
    kept = []
    for _ in range(500):
        buffer = SampleBuffer.new("labctl-test", 64)
        buffer.words[0] = 7
        assert buffer.array().sum() == 0
        buffer.close()
        kept.append(buffer)
    assert memory_files() == 0


def test_an_array_that_is_out_keeps_its_memory_and_no_longer() -> None:
    buffer = SampleBuffer.new("labctl-test", 64)
    array = buffer.array()
    array[3] = 9
    buffer.close()
    buffer.close()
    assert array[3] == 9
    assert memory_files() > 0
    del array
    assert memory_files() == 0
    assert buffer.fd == -1
