"""Roles: folders, what they inherit, the user's over ours, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from labctl.errors import InputError
from labctl.render.definition import binds_of, with_tag
from labctl.roles.catalog import load_role, load_roles, role_names
from labctl.shipped import folder

OURS = folder("templates")


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def sources(name: str, *folders: Path) -> dict[str, Path]:
    return {str(file.target): file.source for file in load_role(name, folders).files}


def test_shipped_roles_are_sound() -> None:
    for name in role_names([OURS]):
        role = load_role(name, [OURS])
        assert role.description, name
        assert role.image.startswith("labctl/")
        assert {"/etc/labctl/boot", "/etc/labctl/ready", "/etc/labctl/stop"} <= set(sources(name, OURS))


def test_a_role_inherits_and_its_own_wins() -> None:
    gateway, router = load_role("gateway", [OURS]), load_role("router", [OURS])
    assert gateway.lineage == ("gateway", "router", "base")
    assert gateway.image == router.image
    assert gateway.sysctls == router.sysctls
    assert gateway.sysctls["net.ipv4.ip_forward"] == "1"
    assert sources("gateway", OURS)["/etc/frr/frr.conf"] == OURS / "gateway/etc/frr/frr.conf.j2"
    assert sources("gateway", OURS)["/etc/frr/vtysh.conf"] == OURS / "router/etc/frr/vtysh.conf"


def test_the_users_folder_changes_just_the_file_that_it_has(tmp_path: Path) -> None:
    mine = write(tmp_path, {"router/etc/frr/vtysh.conf": "mine\n"})
    before, after = sources("gateway", OURS), sources("gateway", mine, OURS)
    assert after.keys() == before.keys()
    changed = {target for target in after if after[target] != before[target]}
    assert changed == {"/etc/frr/vtysh.conf"}


def test_a_new_role_is_a_new_folder(tmp_path: Path) -> None:
    mine = write(
        tmp_path,
        {
            "firewall/role.yml": "description: filters\nextends: router\nvars: {bgp_hold: 9}\n"
            "capabilities: [NET_BIND_SERVICE]\nsysctls: {net.ipv4.ip_forward: true}\nimage: my/fw:1\n",
            "firewall/etc/nftables.conf.j2": "table inet {{ node.name }} {}\n",
            "firewall/etc/frr/frr.conf.j2": "! mine\n",
        },
    )
    role = load_role("firewall", [mine, OURS])
    assert role.vars["bgp_hold"] == 9
    assert role.vars["bgp_keepalive"] == 1
    assert role.capabilities == ("NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_NICE", "NET_BIND_SERVICE")
    assert role.image == "my/fw:1"
    assert sources("firewall", mine, OURS)["/etc/nftables.conf"] == mine / "firewall/etc/nftables.conf.j2"
    assert load_roles([mine])["firewall"].acts_as == "router"


def test_leftovers_of_other_programs_are_no_files_of_a_role(tmp_path: Path) -> None:
    mine = write(tmp_path, {"host/etc/x~": "", "host/__pycache__/y.pyc": "", "host/.mypy_cache/z": ""})
    assert sources("host", mine, OURS) == sources("host", OURS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("extends: rooter\n", "1:10: there is no role 'rooter' (did you mean 'router'?)"),
        ("extends: mine\n", "1:10: the role extends itself: mine -> mine"),
        ("imagee: x\n", "1:1: unknown key 'imagee' (did you mean 'image'?)"),
        ("image: x\ncommand: boot\n", "2:10: expected a list, not 'boot'"),
        ("capabilities: [NET_ADMIN,\n  CAP net]\n", "2:3: expected to match pattern"),
        ("sysctls:\n  'net ipv4': 1\n", "2:3: expected to match pattern"),
        ("ready: maybe\n", "1:8: expected true or false, not 'maybe'"),
        ("- a\n", "1:1: expected a mapping"),
    ],
)
def test_mistakes_in_role_yml_name_their_place(tmp_path: Path, text: str, expected: str) -> None:
    mine = write(tmp_path, {"mine/role.yml": text})
    with pytest.raises(InputError) as caught:
        load_role("mine", [mine, OURS])
    assert f"{mine}/mine/role.yml:{expected}" in str(caught.value)


def test_an_unknown_role_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"there is no role 'gatway' \(did you mean 'gateway'\?\)"):
        load_role("gatway", [OURS])


def test_binds_are_folders_of_etc_or_single_files() -> None:
    targets = [
        "/etc/labctl/boot",
        "/etc/labctl/gate/a.py",
        "/etc/frr/frr.conf",
        "/etc/hosts",
        "/usr/local/bin/x",
    ]
    assert binds_of("n1", map(PurePosixPath, targets)) == (
        "n1/etc/frr:/etc/frr",
        "n1/etc/hosts:/etc/hosts",
        "n1/etc/labctl:/etc/labctl:ro",
        "n1/usr/local/bin/x:/usr/local/bin/x",
    )


@pytest.mark.parametrize("image", ["a/b:1", "host:5000/a:1", "a@sha256:00"])
def test_an_image_with_a_tag_keeps_it(image: str) -> None:
    assert with_tag(image) == image


@pytest.mark.parametrize("image", ["a/b", "host:5000/a"])
def test_an_image_without_a_tag_gets_labctls_version(image: str) -> None:
    assert with_tag(image).startswith(f"{image}:")
