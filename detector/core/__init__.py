"""The pure core: no I/O, no clock, no logging, no global randomness. Time is an argument; a replay decides the same."""
