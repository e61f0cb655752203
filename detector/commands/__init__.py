"""The commands: what is typed, made into a call, and its answer into text. Nothing is decided here.

What a command needs is imported when it runs: `detector check` stands in front of every run of a pipeline and must not
wait for numpy.
"""
