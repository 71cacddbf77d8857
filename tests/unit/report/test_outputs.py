"""Every option that names a file to write: what stands there is written to, and stays what it is."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl.cli.errors import run

if TYPE_CHECKING:
    from make_believe import Bench

TOPOLOGY = Path(__file__).parents[3] / "topologies/ring.yml"
COMMANDS = {
    "graph": ["graph", str(TOPOLOGY), "-o"],
    "report": ["report", "results", "--junit"],
    "compare": ["compare", "results", "-o"],
}
MARK = {"graph": "flowchart", "report": "<testsuite", "compare": "<html"}
every_option = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture(autouse=True)
def results(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bench.events()
    (tmp_path / "results").mkdir()
    shutil.move(tmp_path / "journal.jsonl", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


@every_option
def test_a_fifo_is_read_by_its_reader(command: str, tmp_path: Path) -> None:
    os.mkfifo("fifo")
    # Held open for both, so that a command that replaces the FIFO fails this test and does not hang it.
    holder = os.open("fifo", os.O_RDWR)
    got = bytearray()

    def read() -> None:
        while not got.endswith(b"\0"):
            got.extend(os.read(holder, 1 << 16))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    code = run([*COMMANDS[command], "fifo"])
    os.write(holder, b"\0")
    reader.join(10)
    os.close(holder)
    assert code == 0
    assert MARK[command] in got.decode()
    assert stat.S_ISFIFO(Path("fifo").lstat().st_mode)


@every_option
def test_a_link_stays_and_its_target_is_written(command: str) -> None:
    for target in ("there", "new"):
        Path("there").write_text("before")
        Path("link").unlink(missing_ok=True)
        Path("link").symlink_to(target)
        assert run([*COMMANDS[command], "link"]) == 0
        assert Path("link").is_symlink()
        assert MARK[command] in Path(target).read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@every_option
def test_a_device_stays_a_device(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name, minor in (("null", 3), ("full", 7)):
        try:
            os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            os.close(os.open(name, os.O_WRONLY))
        except PermissionError:
            pytest.skip("no device can be made and opened here")
    assert run([*COMMANDS[command], "null"]) == 0
    capfd.readouterr()
    assert run([*COMMANDS[command], "full"]) == 2
    # What was found is shown first: report has read its journal by then.
    assert capfd.readouterr().err.splitlines()[-1] == "labctl: full: No space left on device"
    assert [Path(name).stat().st_rdev for name in ("null", "full")] == [os.makedev(1, 3), os.makedev(1, 7)]


@every_option
def test_a_folder_is_an_error_of_one_line(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMANDS[command], "results"]) == 2
    assert capfd.readouterr().err.splitlines()[-1] == "labctl: results: Is a directory"


def test_a_place_for_junit_that_cannot_be_written_leaves_the_report_whole(results: Path) -> None:
    assert run(["report", "results", "--junit", "results"]) == 2
    names = {path.name for path in results.iterdir()}
    assert names == {"journal.jsonl", "result.json", "junit.xml", "summary.md", "report.html"}


def test_several_reports_share_what_is_no_file(tmp_path: Path, results: Path) -> None:
    shutil.copytree(results, tmp_path / "all/one")
    shutil.copytree(results, tmp_path / "all/two")
    os.mkfifo("fifo")
    holder = os.open("fifo", os.O_RDWR | os.O_NONBLOCK)
    assert run(["report", "all", "--junit", "fifo"]) == 0
    assert os.read(holder, 1 << 16).count(b"<testsuites") == 2
    os.close(holder)
    assert [path.name for path in tmp_path.glob("fifo*")] == ["fifo"]
    assert run(["report", "all", "--junit", "x.xml"]) == 0
    assert {path.name for path in tmp_path.glob("*.xml")} == {"x-1.xml", "x-2.xml"}


def test_a_link_in_the_results_folder_is_written_through(tmp_path: Path, results: Path) -> None:
    (results / "result.json").symlink_to(tmp_path / "elsewhere.json")
    assert run(["report", "results"]) == 0
    assert (results / "result.json").is_symlink()
    assert '"verdict": "PASS"' in (tmp_path / "elsewhere.json").read_text()
