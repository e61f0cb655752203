"""What others have declared already, as rules of the configuration: contracts, and projects of dbt.

Whatever has no counterpart is a comment beside the rule that it belongs to: a promise that is dropped silently is
believed to be kept.
"""
