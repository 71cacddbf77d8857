// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// Connections and megaflows: what the kernel needs to make the entry of a new flow by itself, from a
// decision that the agent made for another flow.
//
// No entry that was made here is known to the agent, so each bears the generation of its megaflow, and is used
// only while lc_active says that the megaflow still holds. And no entry trusts that a connection is as it
// was: one that drops asks at each packet, one that lets through at its first packet in each slot of a
// second or so. So a flow in use keeps its connections alive, and one that was idle for long enough that
// they may have expired asks before it goes on.
#pragma once

#include "frame.h"

#define SLOT 30 // 2**30 ns

static __always_inline void fill(struct conn_key *conn, const struct flow_key *key, __u32 word)
{
	__builtin_memset(conn, 0, sizeof(*conn));
	conn->port = word & (CONN_PORT | CONN_INBOUND);
	conn->proto = key->proto;
	if (word & CONN_SENDER) {
		__builtin_memcpy(conn->local, key->src, 16);
		__builtin_memcpy(conn->remote, key->dst, 16);
	} else {
		__builtin_memcpy(conn->local, key->dst, 16);
		__builtin_memcpy(conn->remote, key->src, 16);
	}
	if (key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6) {
		conn->local_port = key->dport; // the identifier of both sides
	} else {
		conn->local_port = word & CONN_SENDER ? key->sport : key->dport;
		conn->remote_port = word & CONN_SENDER ? key->dport : key->sport;
	}
}

// Take one of the connections that a port may open. Two CPUs may race here for the last one: then there is
// one more. A port without a quota is none of this host's firewalls.
static __always_inline int take_room(__u32 port)
{
	struct quota *quota = bpf_map_lookup_elem(&lc_quotas, &port);
	__u64 *ceiling = bpf_map_lookup_elem(&lc_ceilings, &port);

	if (!quota || !ceiling)
		return 1;
	if (quota->opened >= *ceiling) {
		__sync_fetch_and_add(&quota->refused, 1);
		count(CNT_REFUSED);
		return 0;
	}
	__sync_fetch_and_add(&quota->opened, 1);
	return 1;
}

static __always_inline int touch(const struct conn_key *conn, __u32 word, __u64 now)
{
	__u64 *seen = bpf_map_lookup_elem(&lc_conns, conn);

	now &= ~CONN_ANSWERED;
	if (seen) {
		// The VM sends on a connection that the other side opened, or the other way round.
		if (!(word & CONN_SENDER) == !(word & CONN_INBOUND))
			now |= CONN_ANSWERED;
		*seen = now | (*seen & CONN_ANSWERED);
		return 0;
	}
	if (word & CONN_KNOWN || !take_room(word & CONN_PORT))
		return -1;
	return bpf_map_update_elem(&lc_conns, conn, &now, BPF_ANY);
}

// Keep the connections of an entry alive, and make those that its first packet opens; not 0 where one
// that it hangs on is gone.
static __noinline int refresh(const struct flow_key *key, const struct flow_value *value, __u64 now)
{
	if (!key || !value)
		return -1;
	for (int i = 0; i < CONNS; i++) {
		__u32 word = value->conns[i];
		struct conn_key conn;

		if (!word)
			break;
		fill(&conn, key, word);
		if (touch(&conn, word, now))
			return -1;
		if (word & CONN_LATER) {
			conn.local_port = conn.remote_port = 0;
			if (touch(&conn, word, now))
				return -1;
		}
	}
	return 0;
}

// Whether connections are known, or not known, as the words want it.
static __noinline int as_asked(const struct flow_key *key, const __u32 *words)
{
	if (!key || !words)
		return 0;
	for (int i = 0; i < CONNS; i++) {
		__u32 word = words[i];
		struct conn_key conn;
		void *known;

		if (!word)
			break;
		fill(&conn, key, word);
		known = bpf_map_lookup_elem(&lc_conns, &conn);
		if (known ? word & CONN_UNKNOWN : word & CONN_KNOWN)
			return 0;
	}
	return 1;
}

static __always_inline int is_dhcp(__u16 port)
{
	return port == 67 || port == 68 || port == 546 || port == 547;
}

// The bucket holds time: each token costs 1/rate, and may be ahead of the clock by burst/rate. Two CPUs
// may race here; then one more than the limit gets through, which does no harm.
static __always_inline int take_token(__u64 *bucket, __u32 rate, __u32 burst)
{
	__u64 now, cost, start;

	if (!rate)
		return 0;
	now = bpf_ktime_get_ns();
	cost = 1000000000ull / rate;
	start = *bucket > now ? *bucket : now;
	if (start - now > cost * burst)
		return 0;
	*bucket = start + cost;
	return 1;
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

// Write the entry of a variant that a packet fits, unless it drops; its kind, or -1 where there is none.
//
// An element of the map that the agent overwrites serves the next one that it writes at once, perhaps
// another tenant's, whoever still reads it here. So what was read and copied counts only if the element
// still stands under its key, and the variant in it.
static __noinline int make(const struct flow_key *at, const struct megaflow *megaflow, const struct variant *variant,
			   struct view *view, struct port *port)
{
	struct flow_value *value;
	struct megaflow *again;

	if (!at || !megaflow || !variant || !view || !port)
		return -1;
	value = &view->entry;
	__builtin_memcpy(value, &variant->value, sizeof(*value));
	again = bpf_map_lookup_elem(&lc_megaflows, at);
	if (!again || again != megaflow || variant->value.generation != value->generation)
		return -1;
	if (value->kind == ACT_DROP)
		return ACT_DROP;
	// What the kernel makes by itself is cheap; its rate is limited so that no port drives out all others' entries.
	// One that takes the place of its own, whose megaflow is no more, drives out nobody's: after a change that
	// touches many flows all of them go on at once.
	if (!bpf_map_lookup_elem(&lc_flows, &view->key) && !take_token(&port->made_ns, 2 * port->rate, 2 * port->burst))
		return -1;
	return bpf_map_update_elem(&lc_flows, &view->key, value, BPF_ANY) ? -1 : (int)value->kind;
}

// Make an entry from the variant that a packet fits, with all that its decision was made from; its kind,
// or -1 where none fits. Left to the agent: fragments, ICMP, and the ports of DHCP, as in
// labctl.overlay.agent.megaflow.
static __noinline int make_by_megaflow(struct view *view, __u32 length, __u32 limit)
{
	struct port *port = limited_port(limit);
	struct flow_key key;

	if (!view || !port)
		return -1;
	key = view->key;
	if (key.match_frag || (key.eth_type != ETH_P_IP && key.eth_type != ETH_P_IPV6))
		return -1;
	if (key.proto == IPPROTO_ICMP || key.proto == IPPROTO_ICMPV6 || is_dhcp(key.sport) || is_dhcp(key.dport))
		return -1;
	for (int read = READ_NONE; read <= READ_DESTINATION; read++) {
		struct megaflow *megaflow;

		key.match_frag = (MATCH_MEGAFLOW + read) << 4;
		key.sport = read == READ_SOURCE ? view->key.sport : 0;
		key.dport = read == READ_DESTINATION ? view->key.dport : 0;
		megaflow = bpf_map_lookup_elem(&lc_megaflows, &key);
		if (!megaflow)
			continue;
		for (int i = 0; i < VARIANTS; i++) {
			struct variant *variant = &megaflow->variants[i];

			if (!variant->value.generation)
				break;
			if (length > variant->length || view->ttl < variant->ttl)
				continue;
			if (as_asked(&view->key, variant->asked))
				return make(&key, megaflow, variant, view, port);
		}
	}
	return -1;
}
