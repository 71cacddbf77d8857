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

#define TRIES 3 // lookups of an entry that is overwritten just then

// Copy the entry that stands under a key; where it stands, for its counters, or NULL where there is none.
//
// The memory of an entry that is deleted, evicted or overwritten serves the next one that is written at once,
// perhaps another tenant's, whoever still reads it here. So a copy counts only if the same memory still stands
// under the key when it is done; else the entry is looked for again. The counters alone are written without
// such a proof: at worst another entry counts one packet of this one.
static __always_inline struct flow_value *take(void *map, const struct flow_key *key, struct flow_value *copy)
{
	struct flow_value *value = bpf_map_lookup_elem(map, key), *again;

	for (int i = 0; i < TRIES; i++) {
		if (!value)
			return NULL;
		__builtin_memcpy(copy, value, sizeof(*copy));
		again = bpf_map_lookup_elem(map, key);
		if (again == value)
			return value;
		value = again;
	}
	return NULL;
}

// Functions are calls, not inlined, where programs would need too much stack otherwise.
static __noinline struct flow_value *find_wide(struct view *view)
{
	struct flow_key wide = {};

	if (!view)
		return NULL;
	wide.ingress = view->key.ingress;
	wide.match_frag = MATCH_INGRESS << 4;
	return take(&lc_fixed, &wide, &view->entry);
}

// Of what comes in by a gateway's uplink.
static __noinline struct flow_value *find_inward(struct view *view)
{
	struct flow_key inward = {};

	if (!view)
		return NULL;
	inward.ingress = view->key.ingress;
	inward.eth_type = view->key.eth_type;
	inward.match_frag = MATCH_DESTINATION << 4;
	__builtin_memcpy(inward.dst, view->key.dst, 16);
	return take(&lc_fixed, &inward, &view->entry);
}

static __always_inline struct flow_value *find(struct view *view)
{
	struct flow_value *value = take(&lc_flows, &view->key, &view->entry);

	if (value) {
		__u32 index = view->entry.generation & GENERATION_INDEX, *active;

		if (!view->entry.generation)
			return value;
		active = bpf_map_lookup_elem(&lc_active, &index);
		// What the kernel made holds as long as what it made it from; then it is as if it were not there.
		if (active && *active == view->entry.generation)
			return value;
	}
	return find_wide(view);
}

// The key of the port that an interface is; 0 where it is none. What is read counts as in take: a packet must
// not come in as another's.
static __noinline __u32 port_of(__u32 ifindex)
{
	struct port *port = bpf_map_lookup_elem(&lc_ports, &ifindex), *again;

	for (int i = 0; i < TRIES; i++) {
		__u32 id;

		if (!port)
			return 0;
		id = *(volatile __u32 *)&port->id;
		again = bpf_map_lookup_elem(&lc_ports, &ifindex);
		if (again == port)
			return id;
		port = again;
	}
	return 0;
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

// What the entry in the view says; -1 where it says nothing any more, since a connection has come or gone.
// "value" is where it stands, for its counters alone.
static __noinline int act(struct __sk_buff *skb, struct view *view, struct flow_value *value, __u32 from, __u32 limit)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	const struct flow_value *entry;
	__u32 kind;

	if (!view || !value)
		return -1;
	entry = &view->entry;
	kind = entry->kind;
	if (kind == ACT_DROP) {
		if (entry->conns[0] && !as_asked(&view->key, entry->conns))
			return -1;
	} else if (kind != ACT_UPCALL) {
		if (entry->mtu && view->l4 && longest(skb, view) > entry->mtu) {
			count(CNT_TOO_BIG);
			return upcall(skb, from, limit); // the agent answers with ICMP
		}
		if (entry->ttl && view->ttl <= entry->ttl)
			return upcall(skb, from, limit); // the same: time exceeded
		// Also at the first packet: it opens the connection, or is the answer to it.
		if (entry->conns[0] && (!entry->packets || (now ^ entry->last_ns) >> SLOT) && refresh(&view->key, entry, now))
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
	if (entry->ttl && lower_ttl(skb, view->key.eth_type, view->ttl, entry->ttl))
		return TC_ACT_SHOT;
	if (entry->flags & FLAG_MACS && are_other_macs(entry, &view->key)) {
		__u8 macs[12];

		__builtin_memcpy(macs, entry->dmac, 6);
		__builtin_memcpy(macs + 6, entry->smac, 6);
		bpf_skb_store_bytes(skb, 0, macs, 12, 0);
	}
	count(CNT_HIT);
	if (kind == ACT_PORT) {
		skb->mark = 0;
		if (entry->flags & FLAG_PEER)
			return bpf_redirect_peer(entry->out_ifindex, 0);
		return bpf_redirect(entry->out_ifindex, 0);
	}
	if (kind == ACT_TUNNEL) {
		skb->mark = 0;
		return to_tunnel(skb, entry);
	}
	bpf_skb_change_type(skb, 0 /* PACKET_HOST */);
	return TC_ACT_OK;
}

static __always_inline int look_up_and_act(struct __sk_buff *skb, __u32 ingress, __u32 from, __u32 limit)
{
	struct view view;
	struct flow_value *value;
	int done, kind;

	if (read_packet(skb, ingress, &view)) {
		count(CNT_MALFORMED);
		return TC_ACT_SHOT;
	}
	value = find(&view);
	if (value) {
		done = act(skb, &view, value, from, limit);
		if (done >= 0)
			return done;
		count(CNT_STALE);
	}
	count(CNT_MISS);
	// Not in a function of its own, whose stack would come on top of those of the functions that it calls.
	kind = make_by_megaflow(&view, longest(skb, &view), limit);
	if (kind == ACT_DROP) {
		count(CNT_DROP); // and gets no entry: a scan of ports would push out the entries of others
		return TC_ACT_SHOT;
	}
	value = kind < 0 ? NULL : take(&lc_flows, &view.key, &view.entry);
	if (value) {
		count(CNT_MADE);
		view.entry.packets = 0; // whatever was counted meanwhile: this packet opens the connection
		done = act(skb, &view, value, from, limit);
		if (done >= 0)
			return done;
	}
	return upcall(skb, from, limit);
}

// Ingress of a port: what a virtual machine sent.
SEC("tc")
int from_port(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	__u32 port = port_of(ifindex);

	if (!port) {
		count(CNT_DROP);
		return TC_ACT_SHOT; // not bound yet, or no more
	}
	return look_up_and_act(skb, port, ifindex, ifindex);
}

// Ingress of a gateway's uplink: what its kernel routes inward. All of it has entries by destination
// alone, written ahead, so that no gateway holds a state that another cannot take over.
SEC("tc")
int from_uplink(struct __sk_buff *skb)
{
	struct view view;
	struct prefix source = { .length = 128 };
	struct flow_value *value;
	__u32 ifindex = skb->ifindex;
	__u32 port = port_of(ifindex);

	if (!port) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	if (read_packet(skb, port, &view)) {
		count(CNT_MALFORMED);
		return TC_ACT_SHOT;
	}
	__builtin_memcpy(source.address, view.key.src, 16);
	if (bpf_map_lookup_elem(&lc_inside, &source)) {
		count(CNT_DROP);
		return TC_ACT_SHOT; // somebody outside claims to be inside
	}
	value = find_inward(&view);
	if (!value)
		value = find(&view);
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
		ingress = port_of(from);
		if (!ingress)
			return TC_ACT_SHOT;
	}
	if (read_packet(skb, ingress, &view))
		return TC_ACT_SHOT;
	value = find(&view);
	if (!value || view.entry.kind == ACT_UPCALL) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	done = act(skb, &view, value, from, 0xffffffff);
	return done >= 0 ? done : TC_ACT_SHOT;
}
