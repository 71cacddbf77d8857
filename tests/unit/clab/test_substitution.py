"""Variables of the environment, as containerlab's own library fills them in."""

from __future__ import annotations

import pytest

from labctl.clab.substitution import UnclosedError, fill_in

SET = {"A": "a", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A ${A}", "a a"),
        ("$NONE ${NONE} $EMPTY", "$NONE $NONE $EMPTY"),
        ("5$$ $$A $1 ${1} $_", "5$ $A $1 ${1} $_"),
        ("${A:-x} ${NONE:-x} ${EMPTY:-x}", "a x x"),
        ("${A:=x} ${NONE:=x:y/z} ${EMPTY:=x}", "a x:y/z x"),
        ("${A-x} ${NONE-x} ${EMPTY-x} ${NONE=x}", "a x $EMPTY x"),
        ("${A:+x} ${NONE:+x}|${NONE+x}|${EMPTY+x}", "x ||x"),
        ("${NONE:-$A} ${NONE:-$OTHER} ${NONE:-}", "a $OTHER $NONE"),
        ("${A%%x} ${#array} a$", "a ${#array} a$"),
    ],
)
def test_filled_in(text: str, filled: str) -> None:
    assert fill_in(text, SET) == filled


def test_an_open_brace_is_refused_by_its_name() -> None:
    with pytest.raises(UnclosedError, match=r"after `\$\{NAME`"):
        fill_in("echo ${NAME\n}", SET)
