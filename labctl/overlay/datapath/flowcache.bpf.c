// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// The flow cache of an overlay host: tc programs on the ports of virtual machines, on the uplinks of
// gateways, on the one collect-metadata VXLAN device and on the agent's own veth pair.
//
// A packet without an entry goes to the agent (an upcall), which simulates its way through the
// virtual topology, writes the entry and sends the packet again. From then on the kernel does all, also
// for the first packets of flows that meet the same decision (megaflow.h).
//
// Only stable helpers and the kernel's own user-space headers are used, so one build runs on any
// little-endian machine.
#include "frame.h"
#include "megaflow.h"

char LICENSE[] SEC("license") = "Dual Apache/GPL";

// Functions are calls, not inlined, where programs would need too much stack otherwise.
static __noinline struct flow_value *find_wide(__u32 ingress)
{
	struct flow_key wide = {};

	wide.ingress = ingress;
	wide.match_frag = MATCH_INGRESS << 4;
	return bpf_map_lookup_elem(&lc_fixed, &wide);
}

static __always_inline struct flow_value *find(const struct flow_key *key)
{
	struct flow_value *value = bpf_map_lookup_elem(&lc_flows, key);

	if (value) {
		__u32 index = value->generation & GENERATION_INDEX, *active;

		if (!value->generation)
			return value;
		active = bpf_map_lookup_elem(&lc_active, &index);
		// What the kernel made holds as long as what it made it from; then it is as if it were not there.
		if (active && *active == value->generation)
			return value;
	}
	return find_wide(key->ingress);
}

static __always_inline struct port *limited_port(__u32 whose)
{
	struct port *port = bpf_map_lookup_elem(&lc_ports, &whose);

	if (!port && whose > FROM_TUNNEL && whose < FROM_TUNNEL << 1) {
		whose = 0;
		port = bpf_map_lookup_elem(&lc_ports, &whose);
	}
	return port;
}

static __always_inline int take_upcall_token(__u32 whose)
{
	struct port *port = limited_port(whose);

	if (!port)
		return 0;
	if (take_token(&port->tokens_ns, port->rate, port->burst))
		return 1;
	__sync_fetch_and_add(&port->rate_limited, 1);
	return 0;
}

// The mark tells the agent where the packet came from: an ifindex, or a tunnel key with its bit.
static __always_inline int upcall(struct __sk_buff *skb, __u32 from, __u32 limit)
{
	__u32 zero = 0;
	struct settings *settings = bpf_map_lookup_elem(&lc_settings, &zero);

	if (!settings || !take_upcall_token(limit)) {
		count(CNT_RATE_LIMITED);
		return TC_ACT_SHOT;
	}
	count(CNT_UPCALL);
	skb->mark = from;
	return bpf_redirect(settings->upcall_ifindex, 0);
}

static __always_inline int lower_ttl(struct __sk_buff *skb, __u16 eth_type, __u8 before, __u8 by)
{
	__u32 offset = ETH_HLEN + (eth_type == ETH_P_IP ? offsetof(struct iphdr, ttl) : offsetof(struct ipv6hdr, hop_limit));
	__u8 after = before - by;

	// IPv6 has no checksum of its own that would make good for the change in one over the whole packet.
	if (eth_type != ETH_P_IP)
		return bpf_skb_store_bytes(skb, offset, &after, 1, BPF_F_RECOMPUTE_CSUM);
	// TTL is the high byte of its 16 bit word on the wire, the low one in memory here.
	bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), before, after, 2);
	return bpf_skb_store_bytes(skb, offset, &after, 1, 0);
}

static __noinline int to_tunnel(struct __sk_buff *skb, const struct flow_value *value)
{
	struct bpf_tunnel_key tunnel = {};
	__u32 zero = 0;
	__u64 flags = BPF_F_ZERO_CSUM_TX;
	struct settings *settings = bpf_map_lookup_elem(&lc_settings, &zero);

	if (!settings || !value)
		return TC_ACT_SHOT;
	tunnel.tunnel_id = value->tunnel_key;
	tunnel.tunnel_ttl = 64;
	if (value->flags & FLAG_TUNNEL_V6) {
		__builtin_memcpy(tunnel.remote_ipv6, value->tunnel_dst, 16);
		__builtin_memcpy(tunnel.local_ipv6, settings->local_v6, 16);
		flags |= BPF_F_TUNINFO_IPV6;
	} else {
		__u32 remote;

		__builtin_memcpy(&remote, value->tunnel_dst, 4);
		tunnel.remote_ipv4 = bpf_ntohl(remote); // the helper wants host order
		tunnel.local_ipv4 = bpf_ntohl(settings->local_v4);
	}
	if (bpf_skb_set_tunnel_key(skb, &tunnel, sizeof(tunnel), flags))
		return TC_ACT_SHOT;
	count(CNT_TUNNEL_TX);
	return bpf_redirect(settings->vxlan_ifindex, 0);
}

// Between VMs of one network they stay as they are. Both stand side by side in either, on a word's border.
static __always_inline int are_other_macs(const struct flow_value *value, const struct flow_key *key)
{
	const __u32 *new = (const void *)value->dmac, *old = (const void *)key->dmac;

	return new[0] != old[0] || new[1] != old[1] || new[2] != old[2];
}

// What the entry says; -1 where it says nothing any more, since a connection has come or gone.
static __noinline int act(struct __sk_buff *skb, struct view *view, struct flow_value *value, __u32 from, __u32 limit)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	__u32 kind;

	if (!view || !value)
		return -1;
	kind = value->kind;
	if (kind == ACT_DROP) {
		if (value->conns[0] && !as_asked(&view->key, value->conns))
			return -1;
	} else if (kind != ACT_UPCALL) {
		if (value->mtu && view->l4 && longest(skb, view) > value->mtu) {
			count(CNT_TOO_BIG);
			return upcall(skb, from, limit); // the agent answers with ICMP
		}
		if (value->ttl && view->ttl <= value->ttl)
			return upcall(skb, from, limit); // the same: time exceeded
		// Also at the first packet: it opens the connection, or is the answer to it.
		if (value->conns[0] && (!value->packets || (now ^ value->last_ns) >> SLOT) && refresh(&view->key, value, now))
			return -1;
	}
	// Two CPUs that count at the same moment may count one for both: what no atomic operation costs.
	value->last_ns = now;
	value->packets += 1;
	value->bytes += skb->len;
	if (kind == ACT_DROP) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	if (kind == ACT_UPCALL)
		return upcall(skb, from, limit);
	if (value->ttl && lower_ttl(skb, view->key.eth_type, view->ttl, value->ttl))
		return TC_ACT_SHOT;
	if (value->flags & FLAG_MACS && are_other_macs(value, &view->key)) {
		__u8 macs[12];

		__builtin_memcpy(macs, value->dmac, 6);
		__builtin_memcpy(macs + 6, value->smac, 6);
		bpf_skb_store_bytes(skb, 0, macs, 12, 0);
	}
	count(CNT_HIT);
	if (kind == ACT_PORT) {
		skb->mark = 0;
		if (value->flags & FLAG_PEER)
			return bpf_redirect_peer(value->out_ifindex, 0);
		return bpf_redirect(value->out_ifindex, 0);
	}
	if (kind == ACT_TUNNEL) {
		skb->mark = 0;
		return to_tunnel(skb, value);
	}
	bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
	return TC_ACT_OK;
}

// Make the entry of a new flow from a decision for another one, and follow it; -1 where none fits. What is
// dropped gets no entry: a scan of ports would push out the entries of others.
static __noinline int act_by_megaflow(struct __sk_buff *skb, struct view *view, __u32 from, __u32 limit)
{
	struct flow_value *value;
	struct port *port = limited_port(limit);
	int kind;

	if (!view || !port)
		return -1;
	kind = make_by_megaflow(view, longest(skb, view), port);
	if (kind < 0)
		return -1;
	if (kind == ACT_DROP) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	value = bpf_map_lookup_elem(&lc_flows, &view->key);
	if (!value)
		return -1;
	count(CNT_MADE);
	return act(skb, view, value, from, limit);
}

static __always_inline int look_up_and_act(struct __sk_buff *skb, __u32 ingress, __u32 from, __u32 limit)
{
	struct view view;
	struct flow_value *value;
	int done;

	if (read_packet(skb, ingress, &view)) {
		count(CNT_MALFORMED);
		return TC_ACT_SHOT;
	}
	value = find(&view.key);
	if (value) {
		done = act(skb, &view, value, from, limit);
		if (done >= 0)
			return done;
		count(CNT_STALE);
	}
	count(CNT_MISS);
	done = act_by_megaflow(skb, &view, from, limit);
	return done >= 0 ? done : upcall(skb, from, limit);
}

// Ingress of a port: what a virtual machine sent.
SEC("tc")
int from_port(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct port *port = bpf_map_lookup_elem(&lc_ports, &ifindex);

	if (!port) {
		count(CNT_DROP);
		return TC_ACT_SHOT; // not bound yet, or no more
	}
	return look_up_and_act(skb, port->id, ifindex, ifindex);
}

// Ingress of a gateway's uplink: what its kernel routes inward. All of it has entries by destination
// alone, written ahead, so that no gateway holds a state that another cannot take over.
SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct view view;
	struct flow_key inward = {};
	struct prefix source = { .length = 128 };
	struct flow_value *value;
	__u32 ifindex = skb->ifindex;
	struct port *port = bpf_map_lookup_elem(&lc_ports, &ifindex);

	if (!port) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	if (read_packet(skb, port->id, &view)) {
		count(CNT_MALFORMED);
		return TC_ACT_SHOT;
	}
	__builtin_memcpy(source.address, view.key.src, 16);
	if (bpf_map_lookup_elem(&lc_inside, &source)) {
		count(CNT_DROP);
		return TC_ACT_SHOT; // somebody outside claims to be inside
	}
	inward.ingress = port->id;
	inward.eth_type = view.key.eth_type;
	inward.match_frag = MATCH_DESTINATION << 4;
	__builtin_memcpy(inward.dst, view.key.dst, 16);
	value = bpf_map_lookup_elem(&lc_fixed, &inward);
	if (!value)
		value = find(&view.key);
	if (value) {
		int done = act(skb, &view, value, ifindex, ifindex);

		if (done >= 0)
			return done;
	}
	count(CNT_MISS);
	return upcall(skb, ifindex, ifindex);
}

// The ingress that a tunnel's key stands for; 0 if it comes from no host of the overlay.
static __noinline __u32 tunnel_ingress(struct __sk_buff *skb)
{
	struct bpf_tunnel_key tunnel = {};
	__u8 source[16] = {};
	__u32 zero = 0;
	struct settings *settings = bpf_map_lookup_elem(&lc_settings, &zero);

	if (!settings)
		return 0;
	if (!bpf_skb_get_tunnel_key(skb, &tunnel, sizeof(tunnel), 0)) {
		__u32 remote = bpf_htonl(tunnel.remote_ipv4);

		source[10] = source[11] = 0xff;
		__builtin_memcpy(source + 12, &remote, 4);
	} else {
		// Perhaps it came over IPv6; the kernel wants to be told.
		if (bpf_skb_get_tunnel_key(skb, &tunnel, sizeof(tunnel), BPF_F_TUNINFO_IPV6))
			return 0;
		__builtin_memcpy(source, tunnel.remote_ipv6, 16);
	}
	if (settings->checked && !bpf_map_lookup_elem(&lc_sources, source)) {
		count(CNT_STRANGER);
		return 0;
	}
	return FROM_TUNNEL | (tunnel.tunnel_id & (FROM_TUNNEL - 1));
}

// Ingress of the VXLAN device: what another host sent. Its key names the port of destination.
SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	__u32 from = tunnel_ingress(skb);

	if (!from)
		return TC_ACT_SHOT;
	count(CNT_TUNNEL_RX);
	return look_up_and_act(skb, from, from, from);
}

// Ingress of the agent's veth: a packet sent again after its entry was written. The mark says
// where it first came from; if there is still no entry it is dropped, never sent round again.
// Besides an ifindex (below FROM_TUNNEL) it may be any ingress, also one that no packet has by itself:
// the agent's own way straight into a tunnel. Nobody else can send here: the veth pair stays in the
// host's namespace, has no addresses, and marks do not come in from other namespaces.
SEC("tc")
int from_agent(struct __sk_buff *skb)
{
	struct view view;
	struct flow_value *value;
	__u32 from = skb->mark, ingress = from;
	int done;

	if (!from)
		return TC_ACT_SHOT;
	if (from < FROM_TUNNEL) {
		struct port *port = bpf_map_lookup_elem(&lc_ports, &from);

		if (!port)
			return TC_ACT_SHOT;
		ingress = port->id;
	}
	if (read_packet(skb, ingress, &view))
		return TC_ACT_SHOT;
	value = find(&view.key);
	if (!value || value->kind == ACT_UPCALL) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	done = act(skb, &view, value, from, 0xffffffff);
	return done >= 0 ? done : TC_ACT_SHOT;
}
