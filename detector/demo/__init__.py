"""`detector demo`: a company of pipelines with faults, and Detector watching it, on a machine with only Python."""
