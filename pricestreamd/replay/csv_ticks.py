"""The ticks of one recorded CSV file.

It begins with a header; columns may stand in any order, and only these matter:

    ts_ms | timestamp     UTC epoch milliseconds | seconds, both with decimals if need be; ts_ms where both are there
    symbol
    price | bid and ask   the price, or the two whose mid it is; price where all are there
    size | volume         may be absent; size where both are there

A row of the wrong shape (too few or too many fields, no time, a size that is no number) is an error that names the
file and the line: reading on would mean guessing. A row whose symbol or price is no such thing is a rejected tick like
any other, counted by its reason, here (`missing`, `type`) or in the stream (`not_finite`, `not_positive`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from operator import length_hint
from typing import NoReturn

from pricestreamd.model.tick import Tick
from pricestreamd.replay.blocks import LineBlocks, text_blocks
from pricestreamd.replay.csv_texts import Columns, NumberTexts, RejectedRow, SymbolTexts, mid, read_time
from pricestreamd.replay.input_error import ReplayInputError

FEED = "replay"
"""The feed of every replayed tick."""

RejectHook = Callable[[str, str], object]
"""Called with the reason and the place (`file:line`) of every row whose symbol or price cannot be read."""


class CsvTicks:
    """Reads one file; the header at once, and the rest as its ticks are taken.

    `_end` is the line after the block at hand and `_ahead` are its lines still to come: together they know the line
    that was read last, at no cost to the lines before it.

    Raises:
        ReplayInputError: the file cannot be read.
    """

    def __init__(self, file: LineBlocks, symbols: SymbolTexts, on_reject: RejectHook | None) -> None:
        self._path = path = file.path
        self._symbols = symbols
        self._numbers = NumberTexts()
        self._on_reject = on_reject
        blocks = text_blocks(file)
        header, _, rest = next(blocks, "").partition("\n")
        self._columns = Columns.of(path, header)
        self._blocks = chain([rest], blocks)
        self._end = 2
        self._ahead: Iterator[str] = iter(())
        self._csv_line: Callable[[], int] | None = None

    def ticks(self) -> Iterator[Tick]:  # noqa: C901 - one walk: a call would cost every row
        """The ticks of the file, in its order. What a text means is looked up, and read only when it is new."""
        columns = self._columns
        width, time_at, symbol_at, size_at = columns.width, columns.time, columns.symbol, columns.size
        price_at, bid_at, ask_at, per_second = columns.price, columns.bid, columns.ask, columns.per_second
        symbols, prices, sizes = self._symbols.known, self._numbers.prices, self._numbers.sizes
        time_text: str | None = None
        timestamp = 0.0
        price: float
        size: float | None = None
        for rows in self._row_blocks():
            for row in rows:
                if len(row) != width:
                    if not any(row):
                        continue
                    self._broken(f"{len(row)} fields where the header has {width}")
                try:
                    if row[time_at] != time_text:
                        time_text = row[time_at]
                        timestamp = read_time(time_text, per_second)
                    symbol = symbols[row[symbol_at]]
                    if symbol is None:
                        continue
                    price = prices[row[price_at]] if price_at >= 0 else mid(prices[row[bid_at]], prices[row[ask_at]])
                    if size_at >= 0:
                        size = sizes[row[size_at]]
                except KeyError:
                    learnt = self._learn(row)
                    if learnt is None:
                        continue
                    symbol, price, size = learnt
                except ValueError as exc:
                    self._broken(str(exc))
                yield Tick(symbol, price, timestamp, timestamp, size, None, FEED)

    def _learn(self, row: list[str]) -> tuple[str, float, float | None] | None:
        """What a row with a new text says; None where it is not wanted, or rejected."""
        columns, numbers = self._columns, self._numbers
        try:
            symbol = self._symbols.learn(row[columns.symbol])
            if symbol is None:
                return None
            size = numbers.size(row[columns.size]) if columns.size >= 0 else None
            if columns.price >= 0:
                return symbol, numbers.price(row[columns.price]), size
            return symbol, mid(numbers.price(row[columns.bid]), numbers.price(row[columns.ask])), size
        except RejectedRow as exc:
            self._rejected(str(exc))
            return None
        except ValueError as exc:
            self._broken(str(exc))

    def _row_blocks(self) -> Iterator[Iterable[list[str]]]:
        """Blocks of rows. Before the first quotation mark a row is its line split at the commas, which is faster."""
        for text in self._blocks:
            if '"' in text:
                yield self._quoted_rows(text)
                return
            lines = text.split("\n")
            if not lines[-1]:
                lines.pop()
            self._end += len(lines)
            self._ahead = iter(lines)
            yield map(str.split, self._ahead, repeat(","))

    def _quoted_rows(self, text: str) -> Iterator[list[str]]:
        # A StringIO gives lines that end at "\n" and nowhere else.
        lines = chain.from_iterable(map(io.StringIO, chain([text], self._blocks)))
        rows = csv.reader(lines, strict=True)
        self._csv_line = lambda: self._end - 1 + rows.line_num
        try:
            yield from rows
        except csv.Error as exc:
            self._broken(f"not CSV: {exc}")

    def _line(self) -> int:
        """The line that was read last."""
        return self._csv_line() if self._csv_line is not None else self._end - 1 - length_hint(self._ahead)

    def _rejected(self, reason: str) -> None:
        if self._on_reject is None:
            self._broken(f"the symbol or the price cannot be read ({reason})")
        self._on_reject(reason, f"{self._path}:{self._line()}")

    def _broken(self, what: str) -> NoReturn:
        raise ReplayInputError(self._path, f"{what}; correct or remove the line", line=self._line()) from None
