"""Which recording is in which split, and the proof that it is so."""
