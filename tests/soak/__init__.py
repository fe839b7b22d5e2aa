"""The whole of `feeds` under faults for minutes: nothing is lost that could be had, nothing comes twice, nothing leaks.

`python -m tests.soak --minutes 10 --seed 1`. Two processes:

- the *provider* (`provider.py`), written for this and knowing nothing of the product's simulator: numbers every tick,
  keeps a ledger of what it wrote to which connection and when, and spoils connections by a plan made of the seed;
- the *harness* (`harness.py`): the product's `WebSocketClient`, and a table that counts how often each tick has come.

At the end the table is laid beside the ledger. What was written to a connection that lived, or well before it was
broken, must have come exactly once.
"""
