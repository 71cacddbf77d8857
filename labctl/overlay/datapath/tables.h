// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// Keys, values and maps of the flow cache. Their layout is told to Python in layout.py.
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Which fields of a key are compared; the others are zero (labctl.overlay.flow.Match). From MATCH_MEGAFLOW
// on: all but the port numbers, and of those the ones that the megaflow was made from (flow.ReadPorts).
enum match { MATCH_EXACT = 0, MATCH_DESTINATION = 1, MATCH_INGRESS = 2, MATCH_MEGAFLOW = 3 };

enum { READ_NONE = 0, READ_SOURCE = 1, READ_DESTINATION = 2 };

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

// A connection as seen from a packet: the key of the port whose firewall knows it, and these bits. The
// addresses and port numbers are the packet's own, so one such word stands for all flows of a megaflow.
#define CONN_PORT 0x00ffffffu
#define CONN_SENDER 0x01000000u  // the VM of that port sends the packet
#define CONN_KNOWN 0x02000000u   // what is decided hangs on it being known
#define CONN_UNKNOWN 0x04000000u // ... on it not being known
#define CONN_LATER 0x08000000u   // there is one for later fragments beside it, without port numbers
#define CONN_SET 0x40000000u     // this word is in use
#define CONN_INBOUND 0x80000000u // the other side opened it
#define CONNS 2

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
	__u32 generation; // of the megaflow that the kernel made it from; 0: the agent made it
	__u32 conns[CONNS]; // kept alive by packets that are let through; asked for before others are dropped
	__u64 last_ns;
	__u64 packets;
	__u64 bytes;
};

struct conn_key {
	__u32 port; // its key; CONN_INBOUND
	__u8 proto;
	__u8 pad;
	__u16 local_port;
	__u16 remote_port;
	__u8 local[16];
	__u8 remote[16];
	__u16 pad2;
};

struct port {
	__u32 id;
	__u32 pad;
	__u32 rate;  // upcalls a second
	__u32 burst; // upcalls at once
	__u64 tokens_ns; // the bucket, as time: how far the port has drawn ahead of the clock
	__u64 rate_limited;  // upcalls refused
	__u64 made_ns;   // another bucket: of the flows that the kernel makes by itself
};

struct settings {
	__u32 upcall_ifindex; // where upcalls are sent to
	__u32 vxlan_ifindex;
	__be32 local_v4; // source of tunnels over IPv4; 0: as the route says
	__u32 checked; // whether tunnels are taken from lc_sources alone
	__u8 local_v6[16]; // source of tunnels over IPv6; 0: as the route says
};

enum counter {
	CNT_HIT, CNT_MISS, CNT_UPCALL, CNT_RATE_LIMITED, CNT_DROP, CNT_TUNNEL_TX, CNT_TUNNEL_RX, CNT_MALFORMED,
	CNT_TOO_BIG, CNT_STRANGER,
	CNT_MADE, // entries that the kernel made by itself
	CNT_STALE, // entries that were not used, since a connection had come or gone
	CNT_REFUSED, // connections that were not opened, since their port had as many as it may have
	CNT_MAX
};

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

#define CONN_ANSWERED 1ull // in the time of a connection: a packet went against the direction that opened it

// Not an LRU: a port that opens many connections would push out those of others.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__type(key, struct conn_key);
	__type(value, __u64); // when it was last seen, with CONN_ANSWERED
} lc_conns SEC(".maps"); // the connections that firewalls know; they outlive the agent

// What the kernel opened for a port since the map was made, and what it refused. Only the kernel writes here,
// and only the agent writes the ceiling: neither overwrites what the other counts.
struct quota {
	__u64 opened;
	__u64 refused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); // a port's key
	__type(value, struct quota);
} lc_quotas SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); // a port's key
	__type(value, __u64); // how far "opened" may count up (labctl.overlay.agent.connections)
} lc_ceilings SEC(".maps");

// A decision that holds for every flow with the key's fields, whatever its other port numbers, as long
// as its own connections are known or not as ``asked`` says (labctl.overlay.agent.megaflow).
struct variant {
	__u32 asked[CONNS];
	__u16 length; // longest IP packet that it is known to hold for
	__u8 ttl; // least TTL or hop limit that it is known to hold for
	__u8 pad[5];
	struct flow_value value; // its generation is never 0
};

#define VARIANTS 4

struct megaflow {
	struct variant variants[VARIANTS]; // those in use first
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow_key);
	__type(value, struct megaflow);
} lc_megaflows SEC(".maps"); // what the agent has decided, to be used again without asking it

#define GENERATION_INDEX 0x3fffu // the low bits of a generation; the rest counts up

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GENERATION_INDEX + 1);
	__type(key, __u32);
	__type(value, __u32);
} lc_active SEC(".maps"); // by index the one generation that is valid: entries with another one are not used

struct prefix {
	__u32 length;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536); // memory is taken only for those that are there
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
