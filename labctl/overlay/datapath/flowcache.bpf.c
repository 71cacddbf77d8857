// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// The flow cache of an overlay host: tc programs on the ports of virtual machines, on the uplinks of
// gateways, on the one collect-metadata VXLAN device and on the agent's own veth pair.
//
// A packet without an entry goes to the agent (an upcall), which simulates its way through the
// virtual topology, writes the entry and sends the packet again. From then on the kernel does all.
//
// Only stable helpers and the kernel's own user-space headers are used, so one build runs on any
// little-endian machine. The layout of keys and values is told to Python in layout.py.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual Apache/GPL";

// Which fields of a key are compared; the others are zero (labctl.overlay.flow.Match).
enum match { MATCH_EXACT = 0, MATCH_DESTINATION = 1, MATCH_INGRESS = 2 };

enum kind {
	ACT_DROP = 0,
	ACT_PORT = 1,   // out of a port of this host
	ACT_TUNNEL = 2, // encapsulated, to another host
	ACT_STACK = 3,  // to this host's own routing
	ACT_UPCALL = 4, // to the agent, as if there were no entry
};

enum { FLAG_MACS = 1, FLAG_TUNNEL_V6 = 2, FLAG_PEER = 4 };

enum { FRAG_NONE = 0, FRAG_FIRST = 1, FRAG_LATER = 2 };

enum { ICMP_ECHO_REPLY4 = 0, ICMP_ECHO4 = 8, ICMP_ECHO6 = 128, ICMP_ECHO_REPLY6 = 129 };

#define MAX_EXTENSIONS 8 // IPv6 headers that are stepped over; a packet with so many or more is none
#define GSO_OF_FRAGMENTS 0xffff // gso_size where the packets are a list of whole ones (SCTP)
#define TCP_HEAD 14 // up to the flags
#define UDP_HEAD 8 // and ICMP's, up to the identifier

#define FROM_TUNNEL 0x01000000u // in flow_key.ingress: out of a tunnel, on the way to that port

// All integers in the machine's order.
struct flow_key {
	__u32 ingress;
	__u16 eth_type;
	__u8 proto;
	__u8 match_frag; // match << 4 | frag
	__u8 dmac[6];
	__u8 smac[6];
	__u16 sport; // of ICMP: type << 8 | code
	__u16 dport; // of ICMP echo: the identifier
	__u8 src[16];
	__u8 dst[16];
};

struct flow_value {
	__u32 kind;
	__u32 out_ifindex;
	__u32 tunnel_key;
	__u16 mtu; // largest IP packet that may leave; 0: not checked
	__u8 flags;
	__u8 ttl; // TTL or hop limit is lowered by this much
	__u8 tunnel_dst[16]; // IPv4 in the first four bytes, network order
	__u8 dmac[6];
	__u8 smac[6];
	__u32 cookie; // the agent's own mark
	__u64 last_ns;
	__u64 packets;
	__u64 bytes;
};

struct port {
	__u32 id;
	__u32 pad;
	__u32 rate;  // upcalls a second
	__u32 burst; // upcalls at once
	__u64 tokens_ns; // the bucket, as time: how far the port has drawn ahead of the clock
	__u64 rationed;  // upcalls refused
};

struct settings {
	__u32 upcall_ifindex; // where upcalls are sent to
	__u32 vxlan_ifindex;
	__be32 local_v4; // source of tunnels over IPv4; 0: as the route says
	__u32 checked; // whether tunnels are taken from lc_sources alone
	__u8 local_v6[16]; // source of tunnels over IPv6; 0: as the route says
};

enum counter { CNT_HIT, CNT_MISS, CNT_UPCALL, CNT_RATIONED, CNT_DROP, CNT_TUNNEL_TX, CNT_TUNNEL_RX, CNT_MALFORMED, CNT_TOO_BIG, CNT_STRANGER, CNT_MAX };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct flow_key);
	__type(value, struct flow_value);
} lc_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow_value);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} lc_fixed SEC(".maps"); // entries that must never be evicted: the inward direction of gateways

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__uint(key_size, 44);
	__uint(value_size, 8);
} lc_conns SEC(".maps"); // the agent's memory of connections; it outlives the agent

struct prefix {
	__u32 length;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u32);
} lc_inside SEC(".maps"); // the tenants' own prefixes: never a source of what comes from outside

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); // ifindex; FROM_TUNNEL | key: what comes by tunnel to that port; 0: to any other
	__type(value, struct port);
} lc_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 16); // IPv4 behind ::ffff:0:0/96
	__uint(value_size, 4);
} lc_sources SEC(".maps"); // the hosts' underlay addresses: whom tunnels are taken from

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} lc_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} lc_counters SEC(".maps");

static __always_inline void count(__u32 which)
{
	__u64 *value = bpf_map_lookup_elem(&lc_counters, &which);

	if (value)
		*value += 1;
}

struct view {
	struct flow_key key;
	__u32 ip_len; // length of the IP packet by its own header
	__u32 l4; // offset of the header after IP's; 0: not IP
	__u32 l4_len; // length of that header, where segments of a GSO frame repeat it
	__u32 end; // where the IP packet ends: what stands behind is none of its headers
};

// Fields are read, and packets refused, just as labctl.overlay.packet.parse does: an entry is written
// under the key that Python made, and must be found under the key that is made here.
static __always_inline int read_ports(struct __sk_buff *skb, __u32 offset, struct view *view)
{
	__u8 head[TCP_HEAD];
	__u8 proto = view->key.proto;

	view->l4 = offset;
	switch (proto) {
	case IPPROTO_TCP:
		if (offset + TCP_HEAD > view->end || bpf_skb_load_bytes(skb, offset, head, TCP_HEAD))
			return -1;
		view->l4_len = (head[12] >> 4) * 4;
		break;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (offset + UDP_HEAD > view->end || bpf_skb_load_bytes(skb, offset, head, UDP_HEAD))
			return -1;
		view->l4_len = UDP_HEAD;
		break;
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
		if (offset + 4 > view->end || bpf_skb_load_bytes(skb, offset, head, 4))
			return -1;
		break;
	default:
		return 0;
	}
	view->key.sport = (__u16)head[0] << 8 | head[1];
	// Only echo has an identifier; elsewhere these bytes are a length or a sequence.
	if (proto == IPPROTO_ICMP)
		view->key.dport = head[0] == ICMP_ECHO4 || head[0] == ICMP_ECHO_REPLY4 ? (__u16)head[4] << 8 | head[5] : 0;
	else if (proto == IPPROTO_ICMPV6)
		view->key.dport = head[0] == ICMP_ECHO6 || head[0] == ICMP_ECHO_REPLY6 ? (__u16)head[4] << 8 | head[5] : 0;
	else
		view->key.dport = (__u16)head[2] << 8 | head[3];
	return 0;
}

static __always_inline int read_ipv4(struct __sk_buff *skb, struct view *view)
{
	struct iphdr ip;
	__u16 fragment;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return -1;
	view->key.proto = ip.protocol;
	// IPv4 addresses stand in the last four bytes behind ::ffff:0:0/96, as RFC 4291 maps them.
	view->key.src[10] = view->key.src[11] = 0xff;
	view->key.dst[10] = view->key.dst[11] = 0xff;
	__builtin_memcpy(view->key.src + 12, &ip.saddr, 4);
	__builtin_memcpy(view->key.dst + 12, &ip.daddr, 4);
	view->ip_len = bpf_ntohs(ip.tot_len);
	if (view->ip_len && view->ip_len < ip.ihl * 4)
		return -1; // 0: a GSO frame of more than 64 KiB
	view->end = view->ip_len ? ETH_HLEN + view->ip_len : skb->len;
	fragment = bpf_ntohs(ip.frag_off);
	if (fragment & 0x1fff) {
		view->key.match_frag = FRAG_LATER;
		view->l4 = ETH_HLEN + ip.ihl * 4;
		return 0;
	}
	if (fragment & 0x2000)
		view->key.match_frag = FRAG_FIRST;
	return read_ports(skb, ETH_HLEN + ip.ihl * 4, view);
}

static __always_inline int read_ipv6(struct __sk_buff *skb, struct view *view)
{
	struct ipv6hdr ip;
	__u32 offset = ETH_HLEN + sizeof(ip);
	__u8 next;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 6)
		return -1;
	__builtin_memcpy(view->key.src, &ip.saddr, 16);
	__builtin_memcpy(view->key.dst, &ip.daddr, 16);
	view->ip_len = bpf_ntohs(ip.payload_len) + sizeof(ip);
	view->end = !ip.payload_len && skb->gso_size ? skb->len : ETH_HLEN + view->ip_len;
	next = ip.nexthdr;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		struct {
			__u8 next, length;
			__be16 offset;
			__be32 id;
		} extra;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT) {
			view->key.proto = next;
			return read_ports(skb, offset, view);
		}
		if (offset + sizeof(extra) > view->end || bpf_skb_load_bytes(skb, offset, &extra, sizeof(extra)))
			return -1;
		if (next != IPPROTO_FRAGMENT) {
			next = extra.next;
			offset += 8 * (extra.length + 1);
			continue;
		}
		next = extra.next;
		offset += sizeof(extra);
		if (bpf_ntohs(extra.offset) & 0xfff8) {
			view->key.proto = next;
			view->key.match_frag = FRAG_LATER;
			view->l4 = offset;
			// With one header less to go than Python's loop, which looks once more.
			return i == MAX_EXTENSIONS - 1 ? -1 : 0;
		}
		if (bpf_ntohs(extra.offset) & 1)
			view->key.match_frag = FRAG_FIRST;
	}
	return -1;
}

static __always_inline int read_packet(struct __sk_buff *skb, __u32 ingress, struct view *view)
{
	struct ethhdr eth;

	__builtin_memset(view, 0, sizeof(*view));
	// The kernel has taken a VLAN tag off and keeps it beside the packet, where no key would show it.
	if (skb->vlan_present || bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return -1;
	view->key.ingress = ingress;
	view->key.eth_type = bpf_ntohs(eth.h_proto);
	__builtin_memcpy(view->key.dmac, eth.h_dest, 6);
	__builtin_memcpy(view->key.smac, eth.h_source, 6);
	if (view->key.eth_type == ETH_P_IP)
		return read_ipv4(skb, view);
	if (view->key.eth_type == ETH_P_IPV6)
		return read_ipv6(skb, view);
	return 0;
}

static __always_inline struct flow_value *find(const struct flow_key *key)
{
	struct flow_value *value = bpf_map_lookup_elem(&lc_flows, key);
	struct flow_key wide = {};

	if (value)
		return value;
	wide.ingress = key->ingress;
	wide.match_frag = MATCH_INGRESS << 4;
	return bpf_map_lookup_elem(&lc_fixed, &wide);
}

// The bucket holds time: each upcall costs 1/rate, and may be drawn ahead by burst/rate. Two CPUs
// may race here; then one upcall more than the ration gets through, which does no harm.
static __always_inline int within_ration(__u32 whose)
{
	struct port *port = bpf_map_lookup_elem(&lc_ports, &whose);
	__u64 now, cost, start;

	if (!port && whose > FROM_TUNNEL && whose < FROM_TUNNEL << 1) {
		whose = 0;
		port = bpf_map_lookup_elem(&lc_ports, &whose);
	}
	if (!port || !port->rate)
		return 0;
	now = bpf_ktime_get_ns();
	cost = 1000000000ull / port->rate;
	start = port->tokens_ns > now ? port->tokens_ns : now;
	if (start - now > cost * port->burst) {
		__sync_fetch_and_add(&port->rationed, 1);
		return 0;
	}
	port->tokens_ns = start + cost;
	return 1;
}

// The mark tells the agent where the packet came from: an ifindex, or a tunnel key with its bit.
static __always_inline int upcall(struct __sk_buff *skb, __u32 from, __u32 ration)
{
	__u32 zero = 0;
	struct settings *settings = bpf_map_lookup_elem(&lc_settings, &zero);

	if (!settings || !within_ration(ration)) {
		count(CNT_RATIONED);
		return TC_ACT_SHOT;
	}
	count(CNT_UPCALL);
	skb->mark = from;
	return bpf_redirect(settings->upcall_ifindex, 0);
}

static __always_inline int lower_ttl(struct __sk_buff *skb, __u16 eth_type, __u8 by)
{
	__u32 offset = ETH_HLEN + (eth_type == ETH_P_IP ? offsetof(struct iphdr, ttl) : offsetof(struct ipv6hdr, hop_limit));
	__u8 before, after;

	if (bpf_skb_load_bytes(skb, offset, &before, 1) || before <= by)
		return -1;
	after = before - by;
	// IPv6 has no checksum of its own that would make good for the change in one over the whole packet.
	if (eth_type != ETH_P_IP)
		return bpf_skb_store_bytes(skb, offset, &after, 1, BPF_F_RECOMPUTE_CSUM);
	// TTL is the high byte of its 16 bit word on the wire, the low one in memory here.
	bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), before, after, 2);
	return bpf_skb_store_bytes(skb, offset, &after, 1, 0);
}

static __always_inline int to_tunnel(struct __sk_buff *skb, const struct flow_value *value)
{
	struct bpf_tunnel_key tunnel = {};
	__u32 zero = 0;
	__u64 flags = BPF_F_ZERO_CSUM_TX;
	struct settings *settings = bpf_map_lookup_elem(&lc_settings, &zero);

	if (!settings)
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

// Bytes of the longest IP packet that the frame will be on the wire. A GSO frame is cut later, into
// segments of gso_size bytes each, with the headers in front.
static __always_inline __u32 longest(struct __sk_buff *skb, const struct view *view)
{
	__u32 captured = skb->len - ETH_HLEN;

	if (!skb->gso_size)
		return view->ip_len > captured ? view->ip_len : captured;
	if (skb->gso_size == GSO_OF_FRAGMENTS)
		return 0;
	return view->l4 - ETH_HLEN + view->l4_len + skb->gso_size;
}

static __always_inline int act(struct __sk_buff *skb, struct view *view, struct flow_value *value, __u32 from, __u32 ration)
{
	__u32 kind = value->kind;

	value->last_ns = bpf_ktime_get_ns();
	__sync_fetch_and_add(&value->packets, 1);
	__sync_fetch_and_add(&value->bytes, skb->len);
	if (kind == ACT_DROP) {
		count(CNT_DROP);
		return TC_ACT_SHOT;
	}
	if (kind == ACT_UPCALL)
		return upcall(skb, from, ration);
	if (value->mtu && view->l4 && longest(skb, view) > value->mtu) {
		count(CNT_TOO_BIG);
		return upcall(skb, from, ration); // the agent answers with ICMP
	}
	if (value->ttl && lower_ttl(skb, view->key.eth_type, value->ttl))
		return upcall(skb, from, ration); // the same: time exceeded
	if (value->flags & FLAG_MACS) {
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

static __always_inline int look_up_and_act(struct __sk_buff *skb, __u32 ingress, __u32 from, __u32 ration)
{
	struct view view;
	struct flow_value *value;

	if (read_packet(skb, ingress, &view)) {
		count(CNT_MALFORMED);
		return TC_ACT_SHOT;
	}
	value = find(&view.key);
	if (value)
		return act(skb, &view, value, from, ration);
	count(CNT_MISS);
	return upcall(skb, from, ration);
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
	if (value)
		return act(skb, &view, value, ifindex, ifindex);
	count(CNT_MISS);
	return upcall(skb, ifindex, ifindex);
}

// Ingress of the VXLAN device: what another host sent. Its key names the port of destination.
SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key tunnel = {};
	__u8 source[16] = {};
	__u32 zero = 0, from;
	struct settings *settings = bpf_map_lookup_elem(&lc_settings, &zero);

	if (!settings)
		return TC_ACT_SHOT;
	if (!bpf_skb_get_tunnel_key(skb, &tunnel, sizeof(tunnel), 0)) {
		__u32 remote = bpf_htonl(tunnel.remote_ipv4);

		source[10] = source[11] = 0xff;
		__builtin_memcpy(source + 12, &remote, 4);
	} else {
		// Perhaps it came over IPv6; the kernel wants to be told.
		if (bpf_skb_get_tunnel_key(skb, &tunnel, sizeof(tunnel), BPF_F_TUNINFO_IPV6))
			return TC_ACT_SHOT;
		__builtin_memcpy(source, tunnel.remote_ipv6, 16);
	}
	if (settings->checked && !bpf_map_lookup_elem(&lc_sources, source)) {
		count(CNT_STRANGER);
		return TC_ACT_SHOT; // whoever it is, it is no host of the overlay
	}
	from = FROM_TUNNEL | (tunnel.tunnel_id & (FROM_TUNNEL - 1));
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
	return act(skb, &view, value, from, 0xffffffff);
}
