"""Where is a batch cut to find the event that a sink refuses? Halves of halves. No clock, no events in it: only sizes.

Of a piece that was refused the first half is tried, then the second. Where the first half turns out to be good, the
second must hold the bad one, so it is halved without being tried. One bad event in a batch of n costs about
2 log2(n) attempts, whatever its place.
"""

from __future__ import annotations


class _Piece:
    """`first`: the other half comes after it. `bad`: it is known to hold a refused event."""

    __slots__ = ("bad", "first", "size")

    def __init__(self, size: int, *, first: bool) -> None:
        self.size = size
        self.first = first
        self.bad = False


class Cuts:
    """The front of a batch, in pieces. What is behind the last of them is whole."""

    def __init__(self) -> None:
        # The next one is the last of the list.
        self._pieces: list[_Piece] = []

    @property
    def size(self) -> int:
        """How many events to try next; 0: all that are left."""
        return self._pieces[-1].size if self._pieces else 0

    def clear(self) -> None:
        """The batch is whole."""
        self._pieces.clear()

    def halve(self, size: int, there: int) -> None:
        """The first `size` (2 or more) events of a batch of `there` were refused together."""
        if not self._pieces:
            self._pieces.append(_Piece(there, first=False))
        piece = self._pieces.pop()
        if size < piece.size:  # less than the piece was tried: it is the bad part of it
            self._pieces.append(_Piece(piece.size - size, first=False))
        self._split(size)

    def done(self, count: int, *, delivered: bool = True) -> None:
        """The first `count` events of the batch, a piece or less of one, are settled."""
        if not self._pieces:
            return
        piece = self._pieces[-1]
        piece.size -= count
        if not delivered:  # so much for what was known of it and of its other half
            piece.first = piece.bad = False
        if piece.size > 0:
            return
        self._pieces.pop()
        if piece.first and self._pieces:
            self._pieces[-1].bad = True
        if self._pieces and self._pieces[-1].bad and self._pieces[-1].size > 1:
            self._split(self._pieces.pop().size)

    def _split(self, size: int) -> None:
        half = size // 2
        self._pieces += [_Piece(size - half, first=False), _Piece(half, first=True)]
