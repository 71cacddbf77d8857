"""What nobody should write: a clear error, exit code 2, and nothing made of it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from machine import Machine, machine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.netns

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

# Name of the case: what the file holds, and what the error must say.
TOPOLOGIES: dict[str, tuple[str | bytes, str]] = {
    "unknown-key": (
        "name: t\nnodes:\n  r1: {rol: router}\nlinks: []\n",
        r"bad\.yml:3:8: .*rol.*role",
    ),
    "unknown-node-in-a-link": (
        "name: t\nnodes:\n  r1: {role: router}\n  r2: {role: router}\nlinks:\n  - [r1, r3]\n",
        r"bad\.yml:6:10: .*r3",
    ),
    "link-to-itself": (
        "name: t\nnodes:\n  r1: {role: router}\nlinks:\n  - [r1, r1]\n",
        r"bad\.yml:5:\d+: .*itself",
    ),
    "duplicate-address": (
        (
            "name: t\nnodes: {r1: {role: router, loopback: {ipv4: 10.0.0.1}},\n"
            "  r2: {role: router, loopback: {ipv4: 10.0.0.1}}}\nlinks:\n  - [r1, r2]\n"
        ),
        r"bad\.yml:3:\d+: .*10\.0\.0\.1.*r1",
    ),
    "too-many-of-a-count": (
        "name: t\nnodes:\n  r: {role: router, count: 100000000}\nlinks: []\n",
        r"bad\.yml:3:\d+: .*\d",
    ),
    "too-long-a-range": (
        "name: t\nnodes:\n  r[1-999999999999]: {role: router}\nlinks: []\n",
        r"bad\.yml:3:\d+: ",
    ),
    "too-many-links": (
        (
            "name: t\nnodes:\n  a[1-1000]: {role: router}\n  b[1-1000]: {role: router}\n"
            'links:\n  - ["a[1-1000]", "b[1-1000]"]\n'
        ),
        r"bad\.yml:6:\d+: ",
    ),
    "unknown-role": (
        "name: t\nnodes:\n  r1: {role: ruoter}\nlinks: []\n",
        r"bad\.yml:3:\d+: .*ruoter.*router",
    ),
    "no-nodes": ("name: t\nnodes: {}\nlinks: []\n", r"bad\.yml:2:8: .*1"),
    "not-a-mapping": ("- a\n- b\n", r"bad\.yml:1:1: "),
    "twice-the-same-key": (
        "name: t\nnodes:\n  r1: {role: router}\n  r1: {role: host}\nlinks: []\n",
        r"bad\.yml:4:3: .*r1",
    ),
    "broken-yaml": ("name: t\nnodes: {r1: [\n", r"bad\.yml:\d+:\d+: "),
    "empty": ("", r"bad\.yml: .*empty"),
    "only-a-comment": ("# nothing\n", r"bad\.yml.*"),
    "binary": (bytes(range(256)) * 16, r"bad\.yml: .*binary"),
    "not-utf-8": ("name: t\n# caf\xe9\nnodes: {}\n".encode("latin-1"), r"bad\.yml:2:6: .*UTF-8"),
    "bomb": (BOMB + "name: t\nnodes: {r1: {role: router}}\nlinks: []\n", r"bad\.yml:\d+:\d+: "),
    "deep": ("name: t\nnodes: " + "[" * 5000 + "]" * 5000 + "\n", r"bad\.yml:\d+:\d+: "),
    "python-object": ("name: !!python/object/apply:os.system [touch /run/labctl/x]\n", r"bad\.yml:1:\d+: "),
    "name-with-shell-characters": (
        "name: 't; touch /run/labctl/x'\nnodes: {r1: {role: router}}\nlinks: []\n",
        r"bad\.yml:1:7: ",
    ),
    "name-that-climbs": (
        "name: ../../tmp/x\nnodes: {r1: {role: router}}\nlinks: []\n",
        r"bad\.yml:1:7: ",
    ),
    "node-name-with-shell-characters": (
        "name: t\nnodes:\n  'r1$(touch /run/labctl/x)': {role: router}\nlinks: []\n",
        r"bad\.yml:3:3: ",
    ),
    "node-name-that-climbs": (
        "name: t\nnodes:\n  ../r1: {role: router}\nlinks: []\n",
        r"bad\.yml:3:3: ",
    ),
    "interface-name-that-climbs": (
        "name: t\nnodes: {r1: {role: router}, r2: {role: router}}\nlinks:\n  - ['r1:../x', r2]\n",
        r"bad\.yml:4:\d+: ",
    ),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("bad")) as one:
        yield one


def refused(host: Machine, *words: str, says: str) -> None:
    """Run, and hold it to: exit code 2, one line a problem, no traceback, nothing made."""
    before = host.census()
    files = sorted(path.name for path in host.cwd.iterdir())
    done = host.labctl(*words, timeout_s=30)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert len(done.stderr.splitlines()) <= 20, done.stderr
    assert host.settled(before) == before
    assert sorted(path.name for path in host.cwd.iterdir()) == files


@pytest.mark.parametrize("case", TOPOLOGIES)
def test_a_bad_topology_is_refused_and_nothing_is_made(host: Machine, case: str) -> None:
    content, says = TOPOLOGIES[case]
    path = host.cwd / "bad.yml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    refused(host, "up", "bad.yml", says=says)


@pytest.mark.parametrize("command", [("validate",), ("render", "-o", "out"), ("graph",), ("up",), ("run",)])
@pytest.mark.parametrize("kind", ["directory", "nothing", "fifo", "device"])
def test_what_is_no_file_is_refused_by_every_command_at_once(
    host: Machine, command: tuple[str, ...], kind: str
) -> None:
    (host.cwd / "directory").mkdir(exist_ok=True)
    if not (host.cwd / "fifo").exists():
        os.mkfifo(host.cwd / "fifo")
    refused(
        host,
        *command,
        "/dev/zero" if kind == "device" else kind,
        says=kind if kind != "device" else "/dev/zero",
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--set", "gateways=-1"), r"1--1"),
        (("--set", "gatewys=2"), r"--set.*gateways"),
        (("--set", "gateways"), r"--set"),
        (("--set", "gateways=3; touch x"), r"--set"),
        (("--name", "../x"), r"\.\./x"),
        (("--name", "x;y"), r"x;y"),
        (("--name", "-x"), r"-x"),
        (("--timeout", "-1"), r"--timeout"),
        (("--runtime", "netsn"), r"auto, netns, containerlab"),
    ],
)
def test_a_bad_option_of_up_is_refused(host: Machine, words: tuple[str, ...], says: str) -> None:
    (host.cwd / "good.yml").write_text(
        "name: t\nvars: {gateways: 2}\nnodes:\n  r[1-{gateways}]: {role: router}\nlinks: [[r1, r2]]\n"
    )
    refused(host, "up", "good.yml", *words, says=says)


@pytest.mark.parametrize(
    "words",
    [
        ("status", "nosuch"),
        ("exec", "nosuch", "r1", "--", "true"),
        ("exec", "../../etc", "r1", "--", "true"),
        ("shell", "nosuch", "r1"),
        ("logs", "nosuch", "r1"),
        ("power", "off", "nosuch", "r1"),
        ("power", "on", "nosuch", "r1"),
        ("link", "cut", "nosuch", "r1", "r2"),
        ("link", "restore", "nosuch", "r1", "r2"),
        ("probe", "nosuch", "r1", "r2"),
    ],
)
def test_a_lab_that_is_not_there_is_one_clear_line(host: Machine, words: tuple[str, ...]) -> None:
    refused(host, *words, says=r"no lab (named|of that name)?.*(nosuch|etc)")
