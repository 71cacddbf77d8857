"""Templates: what is undefined is an error with its place; what is written is what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import RenderError
from labctl.render.environment import Templates, yaml_word

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_undefined_names_template_line_and_node(tmp_path: Path) -> None:
    root = write(tmp_path, {"role/etc/x.j2": "one\ntwo {{ nobody }}\n"})
    with pytest.raises(RenderError) as caught:
        Templates([root]).render("role/etc/x.j2", {}, "gw1")
    assert str(caught.value) == f"{root}/role/etc/x.j2:2: 'nobody' is undefined (node gw1)"


def test_error_in_an_inherited_block_names_the_inner_template(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "base/x.j2": "a\n{% block b %}{% endblock %}\n",
            "role/x.j2": '{% extends "base/x.j2" %}\n\n{% block b %}\n{{ 1 // 0 }}\n{% endblock %}\n',
        },
    )
    with pytest.raises(RenderError, match=rf"{root}/role/x\.j2:4: ZeroDivisionError.*\(node r1\)"):
        Templates([root]).render("role/x.j2", {}, "r1")


def test_syntax_error_names_its_line(tmp_path: Path) -> None:
    root = write(tmp_path, {"role/x.j2": "a\nb\n{% for %}\n"})
    with pytest.raises(RenderError, match=rf"{root}/role/x\.j2:3: .*\(node r1\)"):
        Templates([root]).render("role/x.j2", {}, "r1")


def test_missing_parent_template_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, {"role/x.j2": '{% extends "nowhere.j2" %}\n'})
    with pytest.raises(RenderError, match=r"no template 'nowhere\.j2' \(node r1\)"):
        Templates([root]).render("role/x.j2", {}, "r1")


def test_a_template_may_not_leave_the_template_folders(tmp_path: Path) -> None:
    write(tmp_path, {"secret.j2": "secret"})
    root = write(tmp_path / "templates", {"role/x.j2": '{% include "../secret.j2" %}'})
    with pytest.raises(RenderError, match="no template"):
        Templates([root]).render("role/x.j2", {})


def test_binary_template_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = write(tmp_path, {"role/x.j2": ""})
    (root / "role/x.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(RenderError, match=r"role/x\.j2: is not UTF-8"):
        Templates([root]).render("role/x.j2", {})


def test_the_users_template_can_extend_ours_of_the_same_name(tmp_path: Path) -> None:
    ours = "{% extends 'shipped/host/etc/labctl/stop.j2' %}{% block stop %}echo bye\n{% endblock %}"
    root = write(tmp_path, {"host/etc/labctl/stop.j2": ours})
    # Of ours only base has a stop; the name must be one that is shipped.
    with pytest.raises(RenderError, match="no template"):
        Templates([root]).render("host/etc/labctl/stop.j2", {})
    root = write(tmp_path, {"base/etc/labctl/stop.j2": ours.replace("host/", "base/")})
    node = type("Node", (), {"name": "a"})()
    assert "echo bye" in Templates([root]).render("base/etc/labctl/stop.j2", {"node": node})


@given(st.text())
def test_a_yaml_word_is_read_back_as_the_same_text(text: str) -> None:
    word = yaml_word(text)
    assert yaml.safe_load(f"key: {word}") == {"key": text}


@given(st.text(alphabet="${}a:#'\"\\ \n-"))
def test_a_yaml_word_means_nothing_to_containerlabs_own_templates(text: str) -> None:
    word = yaml_word(text)
    assert "$" not in word
    assert "{{" not in word
