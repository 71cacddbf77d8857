"""The operator's side of the overlay: operations on a running lab's virtual networks, and packets traced.

Knows labs and reaches into their nodes; parses no command line and prints nothing. The command line and
scenarios call it alike. Nothing of it runs inside nodes.
"""
