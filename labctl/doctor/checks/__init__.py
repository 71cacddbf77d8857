"""The checks of doctor, one file each. Each tries one thing of this machine and names the fix.

A file holds ``CHECK``, or ``checks()`` where what is to be checked is only known when it is asked for.
No list names the files: see :mod:`labctl.doctor.discover`. None of them changes anything.
"""
