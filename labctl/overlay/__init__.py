"""The overlay: state database, simulation, datapath, agent, gateway, trace."""
