"""The format of the journal: written by scenario, read by verdict."""
