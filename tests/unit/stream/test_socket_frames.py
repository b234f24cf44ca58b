"""What is written to a socket at once is what its peer would be sent one by one."""

import pytest
from websockets.frames import Frame, Opcode

from ioc.stream.websocket import text_head


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_the_head_of_a_text_is_that_of_the_standard(size: int) -> None:
    data = b"x" * size
    assert text_head(size) + data == Frame(Opcode.TEXT, data).serialize(mask=False)
