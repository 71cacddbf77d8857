"""Trials of the kernel: what works is told from what does not, and nothing stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.linux.features import LackingError, Trial, in_new_namespace, run


def test_a_command_that_fails_is_told_by_its_last_words() -> None:
    with pytest.raises(LackingError, match=r"^two$"):
        run(("sh", "-c", "echo one >&2; echo two >&2; exit 1"))


def test_a_command_that_is_not_there_is_not_taken_for_a_missing_feature() -> None:
    with pytest.raises(LackingError, match="not tried: no-such-tool is not installed"):
        Trial((("no-such-tool",),))._run()


def test_stdin_goes_to_the_last_command_only(tmp_path: Path) -> None:
    first, last = tmp_path / "first", tmp_path / "last"
    Trial((("sh", "-c", f"cat > {first}"), ("sh", "-c", f"cat > {last}")), "rules")._run()
    assert (first.read_text(), last.read_text()) == ("", "rules")


@pytest.mark.netns
def test_a_trial_leaves_nothing_in_the_hosts_namespace() -> None:
    assert Trial((("ip", "link", "add", "name", "labctl-t", "type", "veth"),))() == "works"
    assert not Path("/sys/class/net/labctl-t").exists()


@pytest.mark.netns
def test_a_feature_that_no_kernel_has_is_lacking() -> None:
    with pytest.raises(LackingError, match=r"(?i)unknown|not supported"):
        Trial((("ip", "link", "add", "name", "x", "type", "nosuchtype"),))()


@pytest.mark.netns
def test_the_calling_thread_stays_where_it_was() -> None:
    here = Path("/proc/thread-self/ns/net").readlink()
    seen: list[Path] = []
    in_new_namespace(lambda: seen.append(Path("/proc/thread-self/ns/net").readlink()))
    assert seen[0] != here
    assert Path("/proc/thread-self/ns/net").readlink() == here
