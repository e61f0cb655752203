"""The pure core: no I/O, no clock, no logging, no global randomness. Time is an argument; replay gives the same result."""
