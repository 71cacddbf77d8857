"""Roles: what stands in a folder of templates with a ``role.yml``, read, checked and merged in one place.

``schema`` says what ``role.yml`` may hold, ``catalog`` finds and merges roles, ``variables`` checks what a
topology gives to their vars, ``expressions`` what ``when:`` may name, ``requirements`` what a machine must
have. This room reads files and runs nothing; whether a machine has what a role requires is for
:mod:`labctl.linux.installed` to say.
"""
