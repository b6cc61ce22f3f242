/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "abi/verdict.h"
#include "scene.h"

/* A packet on its way into a program. */
struct step {
	enum entry entry;
	enum device device; /* where it arrives; default: that of the entry, DEVICE_A for pods */
	struct frame_spec in;
	enum role outer; /* FROM_TUNNEL: the sending node; default REMOTE_NODE */
	uint32_t vni; /* default: that of pod traffic */
	uint32_t mark;
	const struct step *before; /* runs before and leaves state */
};

/* What must come out beyond the verdict. By default the frame, unchanged. */
struct out {
	bool masqueraded; /* bears the mark */
	bool judged; /* bears the other one */
	uint8_t reset_flags; /* an answer by TCP with these flags */
	uint32_t sequence, acknowledged;
	uint8_t icmp_code[2]; /* an ICMP unreachable with this code, IPv4 and IPv6 */
	uint16_t too_big; /* an ICMP error with this MTU */
	/* Translated: the ends that come out. */
	enum role source, target;
	bool other_port; /* the client's port is replaced */
	uint16_t mss[2]; /* the largest segment that is said, IPv4 and IPv6; 0: any */
	uint16_t source_port, target_port; /* 0: any; of an ICMP error those that are quoted, turned */
	uint8_t probe_flags; /* of an answer to a probe, given or taken */
};

/* A row runs in both families and over both underlays. */
struct row {
	const char *name;
	const struct step *first; /* runs before and leaves state */
	struct step step;
	enum verdict verdict;
	enum device redirect;
	struct out out;
	enum setting setting;
	int family; /* 4 or 6 where it exists in one only */
};

struct row_table {
	const struct row *rows;
	size_t count;
};

extern const struct row_table rows_pod, rows_guard, rows_wire, rows_tunnel, rows_service, rows_node,
	rows_probe;
