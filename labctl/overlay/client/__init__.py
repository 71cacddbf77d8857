"""The virtual networks of a running lab, seen from outside: VMs found, agents asked, packets traced."""
