"""The containerlab file format: definitions of ours, and files that others wrote."""
