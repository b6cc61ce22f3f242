/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/masquerade.h"

#include "base/text.h"
#include "linux/nft.h"
#include "linux/nft_rules.h"

#include <string.h>

#define MASQUERADE_NAME MASQUERADE_FAMILY " " MASQUERADE_TABLE

static void masquerade_script(const struct settings *s, struct text *rules)
{
	/* What is added first is there to be deleted; no packet sees what is between. */
	text_append(rules, "add table " MASQUERADE_NAME "\ndelete table " MASQUERADE_NAME
			   "\ntable " MASQUERADE_NAME " {\n");
	text_printf(rules,
		"chain tunnel_in {\n type filter hook prerouting priority raw;\n"
		" udp dport %u notrack\n}\n"
		"chain tunnel_out {\n type filter hook output priority raw;\n"
		" udp dport %u notrack\n}\n",
		s->tunnel_port, s->tunnel_port);
	text_printf(rules,
		"chain leaving {\n type nat hook postrouting priority srcnat;\n"
		" meta mark & %#x == %#x meta l4proto { tcp, udp, sctp } "
		"masquerade to :%u-%u fully-random\n"
		" meta mark & %#x == %#x masquerade\n}\n}\n",
		s->mark_mask, s->mark, s->masquerade_first, s->masquerade_last, s->mark_mask,
		s->mark);
}

int masquerade_write(struct agent *agent, struct err *err)
{
	_text_ struct text rules = {0};
	uint32_t before, after;
	int r = nft_generation(&before, err);

	masquerade_script(&agent->settings, &rules);
	if (r == 0)
		r = nft_apply(text_string(&rules), err);
	if (r == 0)
		r = nft_read_table(MASQUERADE_FAMILY, MASQUERADE_TABLE, &agent->nft_table, err);
	if (r == 0)
		r = nft_generation(&after, err);
	if (r < 0)
		return r;
	agent->nft_generation = after;
	if (after - before != 1) {
		/* Others have changed something meanwhile: what was read may be theirs. */
		agent->nft_generation = before;
		text_clear(&agent->nft_table);
	}
	return 0;
}

int masquerade_keep(struct agent *agent, struct err *err)
{
	const struct text *left = &agent->nft_table;
	bool known = left->length;
	_text_ struct text found = {0};
	uint32_t now;
	int r = nft_generation(&now, err);

	if (r < 0 || now == agent->nft_generation)
		return r;
	r = nft_read_table(MASQUERADE_FAMILY, MASQUERADE_TABLE, &found, err);
	if (r < 0)
		return r;
	if (known && found.length == left->length &&
		memcmp(found.data, left->data, left->length) == 0) {
		agent->nft_generation = now;
		return 0;
	}
	r = masquerade_write(agent, err);
	return r < 0 ? r : known;
}
