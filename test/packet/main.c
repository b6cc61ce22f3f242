// SPDX-License-Identifier: Apache-2.0
/*
 * Runs each row of the tables in both families, over both underlays, through the real programs
 * with tables that the real compiler made, and at the end asks whether every verdict was reached.
 */
#include "rows.h"

#include "abi/wire.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define ACTION_NEXT ((uint32_t)-1) /* TC_ACT_UNSPEC */
#define ACTION_DROP 2
#define ACTION_REDIRECT 7

static const struct {
	const char *name;
	enum verdict_kind kind;
} verdicts[VERDICT_MAX] = {
#define ROW(number, NAME, kind, name, sentence) [number] = {name, VERDICT_KIND_##kind},
	VERDICT_LIST(ROW)
#undef ROW
};

static const struct {
	const char *title;
	const struct row_table *table;
} tables[] = {
	{"pod", &rows_pod},
	{"guard", &rows_guard},
	{"wire", &rows_wire},
	{"tunnel", &rows_tunnel},
	{"service", &rows_service},
	{"node", &rows_node},
	{"probe", &rows_probe},
};

static unsigned int reached[VERDICT_MAX];
static unsigned int passed, failed;

/* One run of a row, and what was found wrong with it. */
struct trial {
	const struct row *row;
	const char *title;
	int family, underlay;
	struct frame_ends ends;
	uint8_t frame[FRAME_SIZE_MAX];
	size_t length;
	struct run_result result;
	bool sum_only, keeps_sum;
	bool wrong;
};

static void complain(struct trial *trial, const char *what, const char *found)
{
	if (!trial->wrong)
		printf("FAILED %s: %s (IPv%d over IPv%d)\n", trial->title, trial->row->name,
			trial->family, trial->underlay);
	trial->wrong = true;
	printf("       %s: %s\n", what, found);
}

static void complain_number(struct trial *trial, const char *what, uint64_t wanted, uint64_t found)
{
	char text[80];

	if (wanted == found)
		return;
	snprintf(text, sizeof(text), "%#llx instead of %#llx", (unsigned long long)found,
		(unsigned long long)wanted);
	complain(trial, what, text);
}

/* Where a packet of this step arrives, unless the row says otherwise. */
static enum device step_device(const struct step *step)
{
	static const enum device usual[ENTRY_MAX] = {
		[FROM_POD] = DEVICE_A,
		[TO_POD] = DEVICE_A,
		[FROM_WIRE] = DEVICE_WIRE,
		[FROM_TUNNEL] = DEVICE_TUNNEL,
		[FROM_TUNNEL_BARE] = DEVICE_TUNNEL,
		[TO_TUNNEL] = DEVICE_TUNNEL,
		[TO_WIRE] = DEVICE_WIRE,
	};

	return step->device ? step->device : usual[step->entry];
}

static void step_ends(const struct step *step, int family, struct frame_ends *ends)
{
	enum device device = step_device(step);

	ends->family = family;
	ends->source = role_addr((enum role)step->in.source, family);
	ends->target = role_addr((enum role)step->in.target, family);
	device_mac(device, true, ends->source_mac);
	device_mac(device, false, ends->target_mac);
}

static void step_run(const struct step *step, struct trial *trial)
{
	enum role outer = step->outer ? step->outer : REMOTE_NODE;
	struct run run = {.entry = step->entry,
		.device = step_device(step),
		.mark = step->mark,
		.outer = role_addr(outer, trial->underlay),
		.vni = step->vni ? step->vni : WIRE_VNI(WIRE_KIND_POD, 0),
		.frame = trial->frame};

	if (step->before)
		step_run(step->before, trial);
	step_ends(step, trial->family, &trial->ends);
	trial->length = frame_build(&step->in, &trial->ends, trial->frame);
	run.length = trial->length;
	if (trial->sum_only)
		trial->keeps_sum = scene_keeps_sum(&run);
	else
		scene_run(&run, &trial->result);
}

static uint32_t action_of(const struct trial *trial)
{
	if (verdicts[trial->row->verdict].kind == VERDICT_KIND_DROP ||
		trial->row->verdict == VERDICT_TAKE_PROBE) /* it ends here */
		return ACTION_DROP;
	return trial->row->redirect ? ACTION_REDIRECT : ACTION_NEXT;
}

static void check_verdict(struct trial *trial)
{
	const struct row *row = trial->row;
	uint32_t verdict = trial->result.verdict;
	struct addr target = row->out.target ? role_addr(row->out.target, trial->family)
					     : trial->ends.target;
	uint64_t here, all;

	if (verdict != row->verdict) {
		char text[80];

		snprintf(text, sizeof(text), "%s instead of %s",
			verdict < VERDICT_MAX && verdicts[verdict].name ? verdicts[verdict].name
									: "none",
			verdicts[row->verdict].name);
		complain(trial, "verdict", text);
		return;
	}
	complain_number(trial, "told the kernel", action_of(trial), trial->result.action);
	complain_number(trial, "sent to device", device_index(row->redirect),
		trial->result.redirect);
	scene_counts(row->step.entry, verdict, &here, &all);
	complain_number(trial, "counted under its verdict", 1, here);
	complain_number(trial, "counted in all", 1, all);
	if (verdicts[verdict].kind == VERDICT_KIND_DROP && verdict != VERDICT_DROP_MALFORMED &&
		verdict != VERDICT_DROP_NOT_IP &&
		!scene_has_drop(verdict, &trial->ends.source, &target))
		complain(trial, "table of drops", "no row with its source and target");
	reached[verdict]++;
}

/* An answer goes back: what was the target is the source, of the frame as well. */
static void check_answer(struct trial *trial)
{
	const struct frame_ends *ends = &trial->ends;
	const struct out *out = &trial->row->out;
	struct frame_read read;

	if (!frame_parse(trial->result.frame, trial->result.length, &read)) {
		complain(trial, "answer", "no whole packet");
		return;
	}
	if (!read.checksums_right)
		complain(trial, "answer", "a checksum is wrong");
	if (!addr_equal(&read.ends.source, &ends->target) ||
		!addr_equal(&read.ends.target, &ends->source))
		complain(trial, "answer", "its addresses are not the packet's, turned round");
	if (memcmp(read.ends.source_mac, ends->target_mac, FRAME_MAC_SIZE) != 0 ||
		memcmp(read.ends.target_mac, ends->source_mac, FRAME_MAC_SIZE) != 0)
		complain(trial, "answer", "its MACs are not the frame's, turned round");
	if (out->reset_flags) {
		complain_number(trial, "flags", out->reset_flags, read.tcp_flags);
		complain_number(trial, "sequence", out->sequence, read.sequence);
		complain_number(trial, "acknowledged", out->acknowledged, read.acknowledged);
		complain_number(trial, "source port", trial->row->step.in.target_port,
			read.source_port);
		complain_number(trial, "target port", trial->row->step.in.source_port,
			read.target_port);
	} else if (out->too_big) {
		complain_number(trial, "type", trial->family == 4 ? 3 : 2, read.icmp_type);
		complain_number(trial, "code", trial->family == 4 ? 4 : 0, read.icmp_code);
		complain_number(trial, "MTU", out->too_big, read.icmp_mtu);
	} else {
		complain_number(trial, "type", trial->family == 4 ? 3 : 1, read.icmp_type);
		complain_number(trial, "code", out->icmp_code[trial->family == 6], read.icmp_code);
	}
}

/* Rewritten: other ends, and every checksum as if it had been sent like that. */
static void check_translated(struct trial *trial)
{
	const struct out *out = &trial->row->out;
	struct addr source = role_addr(out->source, trial->family);
	struct addr target = role_addr(out->target, trial->family);
	bool is_error = trial->row->step.in.kind == FRAME_PORT_UNREACHABLE;
	struct frame_read read;

	if (trial->result.length != trial->length ||
		!frame_parse(trial->result.frame, trial->result.length, &read)) {
		complain(trial, "translated", "no whole packet of the same length");
		return;
	}
	if (!read.checksums_right)
		complain(trial, "translated", "a checksum is wrong");
	if (is_error && !read.quote_right)
		complain(trial, "translated", "the quoted header's checksum is wrong");
	if (!addr_equal(&read.ends.source, &source))
		complain(trial, "translated", "another source");
	if (!addr_equal(&read.ends.target, &target))
		complain(trial, "translated", "another target");
	if (is_error && !addr_equal(&read.quoted_source, &target))
		complain(trial, "quoted", "another source");
	if (out->other_port && read.source_port == trial->row->step.in.source_port)
		complain(trial, "translated", "the client's port was not replaced");
	if (out->mss[trial->family == 6])
		complain_number(trial, "largest segment", out->mss[trial->family == 6], read.mss);
	if (out->source_port)
		complain_number(trial, "source port", out->source_port,
			is_error ? read.quoted_target_port : read.source_port);
	if (out->target_port)
		complain_number(trial, "target port", out->target_port,
			is_error ? read.quoted_source_port : read.target_port);
}

/* The question turned round. */
static void check_probe_answer(struct trial *trial)
{
	const struct frame_spec *in = &trial->row->step.in;
	size_t head = trial->length - sizeof(struct probe);
	struct frame_read read;
	struct probe probe;

	if (trial->result.length != trial->length ||
		!frame_parse(trial->result.frame, trial->result.length, &read)) {
		complain(trial, "answer", "no whole packet, or longer than the question");
		return;
	}
	memcpy(&probe, trial->result.frame + head, sizeof(probe));
	if (!read.checksums_right)
		complain(trial, "answer", "a checksum is wrong");
	if (!addr_equal(&read.ends.source, &trial->ends.target) ||
		!addr_equal(&read.ends.target, &trial->ends.source))
		complain(trial, "answer", "its addresses are not the packet's, turned round");
	if (memcmp(read.ends.source_mac, trial->ends.target_mac, FRAME_MAC_SIZE) != 0 ||
		memcmp(read.ends.target_mac, trial->ends.source_mac, FRAME_MAC_SIZE) != 0)
		complain(trial, "answer", "its MACs are not the frame's, turned round");
	complain_number(trial, "source port", in->target_port, read.source_port);
	complain_number(trial, "target port", in->source_port, read.target_port);
	complain_number(trial, "kind", PROBE_ANSWER, probe.kind);
	complain_number(trial, "flags", trial->row->out.probe_flags, probe.flags);
	complain_number(trial, "nonce", in->probe.nonce, probe.nonce);
}

static void check_probe_taken(struct trial *trial)
{
	uint32_t flags;

	if (!scene_is_answered(trial->family, &flags))
		complain(trial, "question", "not answered");
	complain_number(trial, "flags", trial->row->out.probe_flags, flags);
}

static void check_out(struct trial *trial)
{
	const struct run_result *result = &trial->result;
	uint32_t mark = trial->row->step.mark;

	if (trial->row->verdict == VERDICT_TAKE_PROBE)
		check_probe_taken(trial);
	if (trial->row->verdict == VERDICT_ANSWER_PROBE) {
		check_probe_answer(trial);
		return;
	}
	if (verdicts[trial->row->verdict].kind == VERDICT_KIND_ANSWER) {
		check_answer(trial);
		return;
	}
	if (trial->row->out.masqueraded)
		mark = scene_masquerade(mark);
	if (trial->row->out.judged)
		mark = scene_judged(mark);
	/* What has its tunnel key is marked, and what enters the stack by another device. */
	if (trial->row->redirect != DEVICE_TUNNEL &&
		(trial->row->verdict != VERDICT_STACK || !trial->row->redirect))
		complain_number(trial, "mark", mark, result->mark);
	if (trial->row->out.source) {
		check_translated(trial);
		return;
	}
	if (result->length != trial->length ||
		memcmp(result->frame, trial->frame, trial->length) != 0)
		complain(trial, "frame", "not the one that was sent");
}

static void trial_run(struct trial *trial)
{
	scene_forget();
	if (trial->row->first) {
		step_run(trial->row->first, trial);
		scene_forget_counts();
	}
	step_run(&trial->row->step, trial);
}

static void check_sum(struct trial *trial)
{
	trial->sum_only = true;
	trial_run(trial);
	if (!trial->keeps_sum)
		complain(trial, "translated", "the card's sum over the packet no longer holds");
}

static void row_run(const char *title, const struct row *row, int family, int underlay)
{
	struct trial trial = {
		.row = row, .title = title, .family = family, .underlay = underlay};

	if (row->family && row->family != family)
		return;
	trial_run(&trial);
	check_verdict(&trial);
	if (!trial.wrong)
		check_out(&trial);
	if (row->out.source)
		check_sum(&trial);
	if (trial.wrong)
		failed++;
	else
		passed++;
}

static void rows_run(enum setting setting, int underlay)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (size_t j = 0; j < tables[i].table->count; j++)
			for (int family = 4; family <= 6; family += 2)
				if (tables[i].table->rows[j].setting == setting)
					row_run(tables[i].title, &tables[i].table->rows[j], family,
						underlay);
}

static void check_reached(void)
{
	for (unsigned int verdict = 0; verdict < VERDICT_MAX; verdict++) {
		if (!verdicts[verdict].name)
			continue;
		if (!reached[verdict])
			printf("FAILED no packet reached the verdict %s\n", verdicts[verdict].name);
		if (reached[verdict])
			passed++;
		else
			failed++;
	}
}

int main(void)
{
	scene_enter();
	for (enum setting setting = 0; setting < SETTING_MAX; setting++)
		for (int underlay = 4; underlay <= 6; underlay += 2) {
			scene_load(setting, underlay);
			rows_run(setting, underlay);
			scene_unload();
		}
	check_reached();
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
