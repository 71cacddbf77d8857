"""What the launcher is asked to do for a definition, and what is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.clab.definition import Bind, Definition, NodeDefinition
from labctl.errors import NodeError
from labctl.lab import node_groups
from labctl.lab.state import LabDir
from labctl.model.lab import Endpoint, LinkPlan
from labctl.runtime.embedded import boot_spec

ROUTER = NodeDefinition(
    "r1",
    cmd=("/etc/labctl/boot",),
    sysctls={"net.ipv4.ip_forward": "1", "net.ipv4.conf.eth0/1.forwarding": "1"},
    cap_add=("SYS_ADMIN",),
    labels={"labctl-holds": "eth2"},
)
LINKS = (
    LinkPlan(0, Endpoint("r1", "eth1"), Endpoint("s1", "eth1"), macs=("02:00:00:00:00:01", "")),
    LinkPlan(1, Endpoint("s1", "eth2"), Endpoint("r1", "eth2")),
)


@pytest.fixture(autouse=True)
def _no_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_groups, "join_files", lambda _lab, _nodes: {})


def _lab(tmp_path: Path) -> LabDir:
    lab = LabDir("x", tmp_path)
    boot_spec.make_folders(lab)
    return lab


def _definition(*nodes: NodeDefinition) -> Definition:
    return Definition("x", Path("/x.clab.yml"), nodes, LINKS)


def test_no_two_link_ends_have_the_same_number() -> None:
    made = boot_spec.veths(_definition(ROUTER))
    numbers = [end[3] for link in made for end in (link["a"], link["b"])]
    assert numbers == [100, 101, 102, 103]
    assert made[0]["a"] == ("r1", "eth1", "02:00:00:00:00:01", 100)


def test_a_node_is_told_its_interfaces_less_those_it_holds(tmp_path: Path) -> None:
    links = boot_spec.veths(_definition(ROUTER))
    (node,) = boot_spec.plan(_lab(tmp_path), [ROUTER], links)["nodes"]
    assert node["interfaces"] == ["eth1"]
    assert "SYS_ADMIN" in node["capabilities"]
    assert node["argv"][1:] == ["-g", "--", "/etc/labctl/boot"]
    assert Path(node["netns"]).exists()


def test_a_sysctl_of_an_interface_with_a_dot_in_its_name_is_one_file(tmp_path: Path) -> None:
    (node,) = boot_spec.plan(_lab(tmp_path), [ROUTER], [])["nodes"]
    assert dict(node["sysctls"]) == {
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/eth0.1/forwarding": "1",
    }


def test_a_node_of_another_author_forwards_unless_its_file_says_otherwise(tmp_path: Path) -> None:
    theirs = [NodeDefinition("a"), NodeDefinition("b", sysctls={"net.ipv4.ip_forward": "0"})]
    ours = NodeDefinition("c", labels={"labctl-acts-as": "host"})
    made = boot_spec.plan(_lab(tmp_path), [*theirs, ours], [])["nodes"]
    assert [dict(node["sysctls"]) for node in made] == [
        {"net/ipv4/ip_forward": "1"},
        {"net/ipv4/ip_forward": "0"},
        {},
    ]


def test_a_bind_inside_another_comes_after_it(tmp_path: Path) -> None:
    inner, outer = Bind(tmp_path, "/etc/frr/x", False), Bind(tmp_path, "/etc", True)
    spec = NodeDefinition("a", binds=(inner, outer))
    (node,) = boot_spec.plan(_lab(tmp_path), [spec], [])["nodes"]
    assert [target for _, target, _ in node["root"]["binds"]][-2:] == ["/etc", "/etc/frr/x"]


def test_binds_without_a_source_are_all_told_before_anything_is_made(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    nodes = [NodeDefinition(name, binds=(Bind(gone, "/x", True),)) for name in ("a", "b")]
    lab = _lab(tmp_path)
    with pytest.raises(NodeError) as caught:
        boot_spec.plan(lab, nodes, [])
    assert str(caught.value).splitlines() == [
        f"{name}: bind {gone}:/x: there is no {gone}" for name in ("a", "b")
    ]
    assert list(lab.netns.iterdir()) == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (NodeDefinition("a"), ["sleep", "infinity"]),
        (NodeDefinition("a", entrypoint=("env",), cmd=("sleep", "1")), ["env", "sleep", "1"]),
        (NodeDefinition("a", kind="bridge"), ["/bin/sh", "-c", boot_spec.BRIDGE_BOOT]),
        (
            NodeDefinition("a", image="quay.io/frrouting/frr:10.2"),
            ["/bin/sh", "-c", "/usr/lib/frr/frrinit.sh start; exec sleep infinity"],
        ),
        (NodeDefinition("a", image="frrouting/frr", cmd=("sh",)), ["sh"]),
    ],
)
def test_what_a_node_runs(tmp_path: Path, spec: NodeDefinition, words: list[str]) -> None:
    (node,) = boot_spec.plan(_lab(tmp_path), [spec], [])["nodes"]
    assert node["argv"][3:] == words


def _missing(*nodes: NodeDefinition) -> list[str]:
    """What is said of the nodes, the machine's own lacks left out."""
    return [line for line in boot_spec.missing(_definition(*nodes)) if line.startswith("node ")]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            NodeDefinition("a", kind="vr-sros"),
            "kind 'vr-sros': the embedded runtime has only linux and bridge",
        ),
        (NodeDefinition("a", image="nginx:1"), "what image nginx:1 starts by itself is not known"),
        (NodeDefinition("a"), "what image (none) starts by itself is not known"),
        (NodeDefinition("a", cmd=("no-such-program",)), "no-such-program is not on this machine"),
        (NodeDefinition("a", cmd=("/no/such",)), "/no/such is not on this machine"),
        (NodeDefinition("a", cmd=("sh",), cap_add=("NET_MAGIC",)), "capability NET_MAGIC cannot be given"),
    ],
)
def test_a_node_that_cannot_run_here_is_told_with_the_reason(spec: NodeDefinition, said: str) -> None:
    (line,) = _missing(spec)
    assert line.startswith(f"node a: {said}")


@pytest.mark.parametrize(
    "spec",
    [
        NodeDefinition("a", cmd=("sh", "-c", "exit")),
        NodeDefinition("a", image="docker.io/library/alpine:3.20"),
        NodeDefinition("a", image="ghcr.io/srl-labs/network-multitool@sha256:00"),
        NodeDefinition("a", image="nginx", cmd=("sleep", "1")),
        NodeDefinition("a", kind="bridge"),
    ],
)
def test_a_node_that_can_run_here_lacks_nothing(spec: NodeDefinition) -> None:
    assert _missing(spec) == []


def test_a_program_that_a_bind_brings_is_there(tmp_path: Path) -> None:
    (tmp_path / "boot").touch()
    binds = (Bind(tmp_path, "/opt/x", True),)
    assert _missing(NodeDefinition("a", cmd=("/opt/x/boot",), binds=binds)) == []
    assert len(_missing(NodeDefinition("a", cmd=("/opt/x/other",), binds=binds))) == 1
