"""Header blocks (HPACK, RFC 7541): the library `hpack` reads them, with a memo in front; ours are literals. No I/O.

A client that repeats itself refers to what both sides remember, a byte for each header; some clients send a few of them
in full each time, :path for example. A block that changes nothing of what is remembered means the same until another one
does: most calls cost one look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeAlias, TypeVar

from hpack import Decoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

from jupyter_tfserve.dataplane.http2.frames import ConnectionFault, ErrorCode
from jupyter_tfserve.dataplane.http2.header_cost import skim

Headers: TypeAlias = "list[tuple[bytes, bytes]]"
Head = TypeVar("Head")

MEMO_SIZE: Final = 64
MEMO_BYTES: Final = 32 * 2**10
"""What the memo's blocks may be and expand to, together, as RFC 9113 counts: an index of one byte can mean kilobytes."""
ENTRY_BYTES: Final = 32
"""What RFC 9113 counts for each header beside its name and value."""


class HeaderReader(Generic[Head]):
    """What `read` makes of a connection's header blocks, one after another: each must come by, in order.

    `max_list_bytes` bounds what a block may expand to, `max_headers` how many there may be, and `max_huffman_bytes` how
    much may be in Huffman's code; beyond them the connection cannot go on.
    """

    def __init__(
        self, read: Callable[[Headers], Head], max_list_bytes: int, max_headers: int, max_huffman_bytes: int
    ) -> None:
        self._read = read
        self._max_headers = max_headers
        self._max_huffman_bytes = max_huffman_bytes
        self._decoder = Decoder(max_header_list_size=max_list_bytes)
        self._memo: dict[bytes, Head] = {}
        self._memo_bytes = 0

    def read(self, block: bytes) -> Head:
        """The block's meaning. ConnectionFault if it has none: what both sides remember is lost then."""
        known = self._memo.get(block)
        if known is not None:
            return known
        is_lasting = skim(block, self._max_headers, self._max_huffman_bytes)
        headers = self._decoded(block)
        head = self._read(headers)
        if is_lasting:
            self._remember(block, head, len(block) + list_bytes(headers))
        else:
            self._forget()
        return head

    def _remember(self, block: bytes, head: Head, size: int) -> None:
        if size > MEMO_BYTES:
            return
        if len(self._memo) >= MEMO_SIZE or self._memo_bytes + size > MEMO_BYTES:
            # What is asked for again comes back; a deadline of its own for each call, sent in full, does not.
            self._forget()
        self._memo[block] = head
        self._memo_bytes += size

    def _forget(self) -> None:
        self._memo.clear()
        self._memo_bytes = 0

    def _decoded(self, block: bytes) -> Headers:
        try:
            return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "The headers are too large") from None
        except (HPACKError, UnicodeDecodeError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "The header block is broken") from error


def list_bytes(headers: Headers) -> int:
    """A header list's size (RFC 9113, section 10.5.1)."""
    return sum(len(name) + len(value) + ENTRY_BYTES for name, value in headers)


def header_block(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The headers as literals that the peer is not to remember. `:status` must come first."""
    return b"".join(_literal(name, value) for name, value in headers)


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def _length(length: int) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541, section 5.1); the eighth says that no Huffman code is used."""
    if length < 127:
        return bytes((length,))
    rest = length - 127
    encoded = bytearray((127,))
    while rest > 127:
        encoded.append(rest & 127 | 128)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
