"""The citizens' counter: reports, what becomes of them, the public board, other cities' requests."""
