// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
//
// A frame's headers as the key of a flow.
#pragma once

#include "tables.h"

struct view {
	struct flow_key key;
	__u32 ip_len; // length of the IP packet by its own header
	__u32 l4; // offset of the header after IP's; 0: not IP
	__u32 l4_len; // length of that header, where segments of a GSO frame repeat it
	__u32 ttl; // or hop limit
	__u32 end; // where the IP packet ends: what stands behind is none of its headers
	struct flow_value entry; // a copy of the one that it follows (take in flowcache.bpf.c); last, set apart from the rest
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
	view->ttl = ip.ttl;
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
	view->ttl = ip.hop_limit;
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

	__builtin_memset(view, 0, offsetof(struct view, entry));
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
