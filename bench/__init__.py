"""Speed, side by side: what a user would run instead of Detector, the limit of any consumer in Python, and Detector.

__main__.py    the options, and what is run in which order
company.py     the events, the same for all
machine.py     Kafka and Redis on one core, who is measured on the other
measure.py     one contender, or the daemon, from a backlog to its last committed position
latency.py     from an event produced to its signal consumed, and what a state weighs
models.py      the judging alone, beside River objects: speed, how it grows, and what a series weighs
report.py      the figures as text
contenders/    a program each, as a user of that library would write it
"""
