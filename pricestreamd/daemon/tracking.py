"""The stream follows the feeds: it tracks what at least one feed wants, and forgets the rest."""

from __future__ import annotations

from pricestreamd.feeds.group import FeedGroup
from pricestreamd.model.tick import symbol_key
from pricestreamd.stream.board import Board


def follow(board: Board, feeds: FeedGroup) -> None:
    """Track every symbol that a feed wants, and no other. A symbol that went from one feed to another stays."""
    subscriptions = feeds.get_subscriptions()
    wanted = {symbol_key(symbol) for symbol in subscriptions}
    board.track(subscriptions)
    board.untrack([symbol for symbol in list(board.by_symbol) if symbol_key(symbol) not in wanted])
