"""What a file, a role, a journal or the shell hands over is input: one line with its place, never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from make_believe import Bench

from labctl.clab.definition import NodeDefinition
from labctl.cli.errors import run
from labctl.errors import InputError, RenderError
from labctl.journal.file import JOURNAL_NAME, read_journal
from labctl.render.environment import Templates
from labctl.roles.model import RoleVar, VarType
from labctl.roles.variables import value_fault
from labctl.runtime.embedded.nsenter import ENTERING, enter_argv

if TYPE_CHECKING:
    from pathlib import Path

VM = """\
name: g
nodes:
  c1: {{role: compute}}
  l1: {{role: router}}
  ctl: {{role: controller}}
  v1: {{role: vm, host: c1, network: t1-net, {0}}}
links: [[c1, l1], [ctl, l1]]
overlay: {{networks: 1}}
"""
PAIR = "name: s\nnodes:\n  a: {{role: host, {0}}}\n  b: {{role: host}}\nlinks: [[a, b]]\n"
CLAB = "name: x\ntopology: {{nodes: {{a: {{kind: linux, image: alpine, {0}}}}}}}\n"
NOVA = "name: n\nnodes:\n  a: {{role: nova-client, vars: {{{0}}}}}\n  b: {{role: host}}\nlinks: [[a, b]]\n"


@pytest.mark.parametrize(
    ("name", "text", "place", "said"),
    [
        ("t.yml", VM.format("groups: 5"), "6:", "groups of v1: expected a name or a list of names, not 5"),
        ("t.yml", VM.format("groups: [[a]]"), "6:", "groups of v1: expected"),
        ("t.yml", VM.format("groups: [1.5]"), "6:", "groups of v1: expected"),
        ("t.yml", PAIR.format("loopback4: 10.9.9.9"), "3:19:", "loopback: {ipv4: ADDRESS}"),
        ("t.yml", PAIR.format("loopback6: 1.5"), "3:19:", "loopback: {ipv6: ADDRESS}"),
        ("t.yml", PAIR.format('image: "a\\0b"'), "3:26:", "holds the character"),
        ("t.clab.yml", CLAB.format('binds: ["~nosuch-user/x:/y"]'), "2:", "there is no user '~nosuch-user'"),
        ("t.clab.yml", CLAB.format("exec: ['echo \"unclosed']"), "2:", "cannot be split into words"),
        ("t.clab.yml", CLAB.format("exec: ['']"), "2:", "is no command"),
        ("t.clab.yml", CLAB.format("exec: ['\"\" x']"), "2:", "is no command"),
        ("t.clab.yml", CLAB.format("exec: [[ls]]"), "2:", "is no command"),
        ("t.clab.yml", CLAB.format('exec: ["a\\0b"]'), "2:", "holds the character"),
        ("t.clab.yml", CLAB.format('env: {A: "a\\0b"}'), "2:", "holds the character"),
        (
            "t.yml",
            NOVA.format('fixed_range: "10.0.0.0/8\\nlink set eth1 down"'),
            "3:",
            "expected text that matches",
        ),
        ("s.yml", f"name: s\ntopology: {'x' * 300}\ntraffic: []\n", "2:", "x"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_place(  # noqa: PLR0917 - a table
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, text: str, place: str, said: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert run(["validate", str(file)]) == 2
    told = capfd.readouterr().err
    assert f"{file}:{place}" in told
    assert said in told
    assert "internal error" not in told


@pytest.mark.parametrize(
    ("var", "value", "said"),
    [
        (RoleVar((VarType.INT,), 64, least=16), -64, "expected at least 16, not -64"),
        (RoleVar((VarType.NUMBER,), 1, most=60), 61, "expected at most 60, not 61"),
        (RoleVar((VarType.TEXT,), "a", pattern="[a-z]+"), "a; b", "expected text that matches"),
        (RoleVar((VarType.TEXT,), "a", pattern="[a-z]+"), "a\n", "expected text that matches"),
        (RoleVar((VarType.NUMBER,), 1, least=0, most=60), 0, ""),
    ],
)
def test_a_var_has_bounds_and_a_pattern(var: RoleVar, value: object, said: str) -> None:
    assert value_fault(var, value).startswith(said)
    assert bool(value_fault(var, value)) == bool(said)


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ text.format.__globals__ }}",
    ],
)
def test_a_template_runs_nothing_of_the_host(tmp_path: Path, template: str) -> None:
    (tmp_path / "a.j2").write_text(template)
    with pytest.raises(RenderError, match=r"a\.j2:1: "):
        Templates([tmp_path]).render("a.j2", {"text": "x"})


def test_a_template_reads_nothing_outside_its_folders(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "absolute.j2").write_text(f"{{% include '{secret}' %}}")
    (folder / "above.j2").write_text("{% include '../secret' %}")
    (folder / "link.j2").symlink_to(secret)
    (folder / "linked.j2").write_text("{% include 'link.j2' %}")
    for name in ("absolute.j2", "above.j2", "link.j2", "linked.j2"):
        with pytest.raises(RenderError):
            Templates([folder]).render(name, {})


def test_a_file_of_a_role_that_leads_out_of_its_folder_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    role = tmp_path / "mine" / "own"
    (role / "etc").mkdir(parents=True)
    (role / "role.yml").write_text("extends: host\n")
    (role / "etc" / "copied").symlink_to("/etc/hostname")
    topology = "name: s\ntemplates: mine\nnodes:\n  a: {role: own}\n  b: {role: host}\nlinks: [[a, b]]\n"
    (tmp_path / "t.yml").write_text(topology)
    assert run(["render", str(tmp_path / "t.yml"), "-o", str(tmp_path / "out")]) == 2
    assert "etc/copied: leads out of its template folder" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("redirect", [">/dev/full", ">&-"])
@pytest.mark.parametrize("words", ["schema topology", "ls --json"])
def test_a_stdout_that_cannot_be_written_is_one_line(redirect: str, words: str) -> None:
    line = f"exec {sys.executable} -m labctl {words} {redirect}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith("labctl: stdout cannot be written: ")


@pytest.mark.slow
def test_a_closed_stdout_is_nobodys_business_where_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "t.yml").write_text("name: [")
    line = f"exec {sys.executable} -m labctl validate {tmp_path / 't.yml'} >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "t.yml:2:1: YAML syntax" in done.stderr


def test_a_journal_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError):
            read_journal(path)


def test_what_a_journal_says_is_nothing_for_a_terminal_to_obey(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Bench(tmp_path).events()
    journal = tmp_path / JOURNAL_NAME
    lines = journal.read_text().splitlines()
    # Format 1 has no hashes: anybody can write a journal.
    old = [line.rpartition(',"chain"')[0] + "}" for line in lines]
    text = (
        "\n".join(old)
        .replace('"format":2', '"format":1')
        .replace('"ext1"', '"\\u001b]0;title\\u0007ext1\\u009b2J"')
    )
    journal.write_text(text + "\n")
    run(["report", str(tmp_path)])
    told = capfd.readouterr()
    page = (tmp_path / "report.html").read_text()
    for one in (told.out, told.err, page):
        assert not {"\x1b", "\x07", "\x9b"} & set(one)


def test_a_report_is_shown_where_it_cannot_be_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Bench(tmp_path).events()
    (tmp_path / "result.json").mkdir()  # for root as well: no file can be written there
    code = run(["report", str(tmp_path)])
    told = capfd.readouterr().err
    assert code == 3 or "INCONCLUSIVE" not in told
    assert any(word in told for word in ("PASS", "FAIL", "INCONCLUSIVE"))
    assert "the report's files were not written" in told


def test_the_environment_of_a_node_begins_inside_the_node() -> None:
    spec = NodeDefinition("a", env={"LD_PRELOAD": "/x/evil.so"})
    line = enter_argv(1, spec, ["ls", "-l"])
    inside = line.index("-i")
    assert "LD_PRELOAD=/x/evil.so" not in line[:inside]
    assert "LD_PRELOAD=/x/evil.so" in line[inside:]
    assert line[-2:] == ("ls", "-l")
    assert set(ENTERING) == {"PATH"}
    assert enter_argv(1, spec, ["a=b"])[-1] == "a=b"
    assert "sh" in enter_argv(1, spec, ["a=b"])
