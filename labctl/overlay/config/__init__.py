"""The configuration of the virtual networks: entities, rules that must hold, plans, and their JSON form."""
