"""message_room: the bytes that came, in memory that goes by what has come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.dataplane.message_room import MessageRoom


@given(st.lists(st.binary(max_size=3000), max_size=20), st.booleans())
def test_message_is_what_was_added_when_it_is_whole(pieces, as_views):
    whole = b"".join(pieces)
    room = MessageRoom(len(whole))
    for piece in pieces:
        source = bytearray(piece)
        room.add(memoryview(source) if as_views else piece)
        source[:] = bytes(len(source))
    assert (room.received, room.take(), room.held) == (len(whole), whole, 0)


def test_room_goes_by_what_has_come_when_much_is_claimed():
    room = MessageRoom(2**40)
    for _ in range(100):
        room.add(b"x" * 1000)
        assert room.received <= room.held <= max(4 * room.received, 4096)
