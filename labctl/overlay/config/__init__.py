"""The configuration of the virtual networks: items, their rules, plans, and their JSON form.

Pure: does no I/O, and knows neither the state database nor the datapath.
"""
