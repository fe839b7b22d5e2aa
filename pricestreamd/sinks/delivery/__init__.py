"""Events on their way to one sink: a bounded queue, batches, attempts, and the one door that both lanes go through."""
