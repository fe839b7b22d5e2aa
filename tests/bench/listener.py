"""The one listener of the benchmark: it counts."""

from pricestreamd.model.events import PriceUpdate

count = 0


def on_update(update: PriceUpdate) -> None:
    """Count an update."""
    global count
    count += 1
