"""The words of the house: ticks, event records, errors, units and secrets. Nothing here waits or decides."""
