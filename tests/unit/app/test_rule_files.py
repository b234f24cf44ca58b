"""Rule folders: files that cannot be read are findings like any other."""

from pathlib import Path

import pytest

from ioc.app.rules.files import RuleFolder, read_rule_text
from ioc.rules.errors import InvalidRules

RULES = Path(__file__).parents[3] / "rules"


def test_a_file_that_is_not_utf8_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"rule: a\n# caf\xe9\n")
    with pytest.raises(InvalidRules, match=r"a\.yaml:2:6: not UTF-8"):
        RuleFolder(tmp_path)


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(InvalidRules, match=r"folder\.yaml:1:1: cannot be read: Is a directory"):
        RuleFolder(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    rule = (RULES / "flood-report.yaml").read_bytes()
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + rule)
    assert len(RuleFolder(tmp_path).rules) == 1


@pytest.mark.parametrize(
    ("content", "finding"),
    [(b"", r"a\.yaml:1:1: there is no rule in it"), (b"\xff", r"a\.yaml:1:1: not UTF-8")],
)
def test_a_file_given_by_name_is_read_or_its_finding_said(
    tmp_path: Path, content: bytes, finding: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidRules, match=finding):
        read_rule_text(path)
