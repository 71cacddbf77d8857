"""``python -m labctl.overlay.agent CONFIG``: the agent of one node, in the foreground."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from labctl.errors import LabctlError
from labctl.overlay.agent.config import AgentConfig, read_config
from labctl.overlay.agent.connections import Connections
from labctl.overlay.agent.control_socket import Control
from labctl.overlay.agent.drain import Gate
from labctl.overlay.agent.engine import FlowEngine
from labctl.overlay.agent.feed import MirrorFeed
from labctl.overlay.agent.guests import Guests
from labctl.overlay.agent.host import OverlayHost, decide_by
from labctl.overlay.agent.introspection import Questions
from labctl.overlay.agent.kernel import IpCommand, Kernel
from labctl.overlay.agent.loop import Loop
from labctl.overlay.agent.ports import PortBindings
from labctl.overlay.datapath import devices
from labctl.overlay.datapath.cache import FlowCache
from labctl.overlay.datapath.channel import Channel
from labctl.overlay.datapath.layout import PortRecord
from labctl.overlay.simulation.topology import VirtualTopology
from labctl.overlay.store.mirror import Mirror
from labctl.overlay.store.session import make_client

GUEST = Path("/etc/labctl/guest")
BUILT = Path(devices.__file__).with_name("flowcache.bpf.o")


def main(arguments: list[str]) -> int:
    """Run until SIGTERM; 2 when it could not begin."""
    try:
        return run(read_config(Path(arguments[0])))
    except LabctlError as error:
        sys.stderr.write(f"agent: {error}\n")
        return error.exit_code


def run(config: AgentConfig) -> int:
    """Put the parts together and let them work."""
    found = devices.ensure(port=config.tunnel_port)
    rate_limit = PortRecord(0, config.upcalls_a_second, config.upcalls_at_once)
    built = Path(config.built) if config.built else BUILT
    cache = FlowCache.open(
        built,
        vxlan=found.vxlan,
        upcall=found.kernel_end,
        tunnel_rate_limit=rate_limit,
        local=(config.tunnel,),
    )
    channel = Channel(devices.AGENT_END)
    ports, feed = PortBindings(), MirrorFeed()
    state = Path(config.state)
    mirror = Mirror(make_client(config.controllers), feed.push, host=config.host, copy=state / "mirror.json")
    engine = FlowEngine(decide_by(VirtualTopology(), config.host), ports, cache, channel, Connections(cache))
    host = OverlayHost(
        config=config, topology=VirtualTopology(), ports=ports, engine=engine,
        cache=cache, channel=channel, kernel=Kernel(IpCommand()), gate=Gate(Path(config.gate)),
        guests=Guests(state / "vm") if GUEST.exists() and not config.uplink else None,
    )  # fmt: skip
    control = Control(state / "agent.sock", Questions(config, host, engine, cache, feed).answer)
    loop = Loop(
        host=host, engine=engine, cache=cache, channel=channel, feed=feed, control=control,
        standing=Path(config.standing),
    )  # fmt: skip
    # Whoever wants to end this agent, and no other process, finds its number beside its standing.
    Path(f"{config.standing}.pid").write_text(f"{os.getpid()}\n")
    mirror.start()
    # Nothing made so far will ever be garbage; a collection in the middle of upcalls costs them dearly.
    gc.collect()
    gc.freeze()
    sys.stdout.write(f"agent: {config.host} is working{', flows taken over' if cache.adopted else ''}\n")
    sys.stdout.flush()
    try:
        loop.run()
    finally:
        control.close()
        mirror.stop()
        channel.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
