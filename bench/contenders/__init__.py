"""What Detector is compared with. Each is a program that reads the topic to its end and tells how long that took.

They use nothing of `detector`, and run in the virtual environment that has their library.
"""
