"""The format of the journal: scenario writes it, verdict reads it. Knows no runtime, lab or verdict."""
