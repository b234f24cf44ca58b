"""Options that several commands share."""

import pytest
import typer

from ioc.app.cli_options import time_option


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+07:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_at_the_end_of_the_calendar_is_refused(moment: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected a time from 1970 until 2200"):
        time_option(moment, "--at")
    assert time_option("1970-01-01T07:00:00+07:00", "--at") == 0
