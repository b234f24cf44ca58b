"""What is logged tells of nobody."""

import logging

import structlog
from pytest import CaptureFixture

from ioc.app.logs import configure_logs

PERSONAL = ("0912 345 678", "61A-123.45", "cuong.nv@example.vn", "079203001234")


def test_logs_of_ours_and_of_libraries_hold_no_personal_data(capsys: CaptureFixture[str]) -> None:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logs("info")
        told = " ".join(PERSONAL)
        structlog.get_logger().info(
            told, error=told, details={"told": told}, items=[told], fault=ValueError(told)
        )
        logging.getLogger("library").warning("%s and %s", told, told)
        try:
            raise ValueError(told)
        except ValueError:
            structlog.get_logger().exception("failed")
            logging.getLogger("library").exception("failed")
        written = capsys.readouterr().err
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.configure(**before)
    assert written.count("\n") == 4
    assert "•••678" in written
    for each in PERSONAL:
        assert each not in written
