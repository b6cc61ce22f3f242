/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/qdisc.h"

#include "check.h"
#include "linux/link.h"
#include "root.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>

#define BLOCK_IN 21
#define BLOCK_OUT 22

static struct netlink *netlink;
static unsigned int device[2];

static void commit(struct netlink_batch *batch)
{
	struct err err = {0};

	if (netlink_commit(netlink, batch, &err) < 0)
		fail_msg("%s", err.text);
	netlink_batch_clear(batch);
}

static int setup(void **state)
{
	struct link_veth veth = {.name = "one",
		.peer_name = "two",
		.peer_netns = -1,
		.mac = {2, 0, 0, 0, 0, 1},
		.peer_mac = {2, 0, 0, 0, 0, 2}};
	struct netlink_batch batch = {0};
	struct link_info info;
	struct err err = {0};

	if (netlink_open(&netlink, &err) < 0)
		return -1;
	link_add_veth(&batch, &veth);
	commit(&batch);
	if (link_find(netlink, "one", &info, &err) < 0)
		return -1;
	device[0] = info.ifindex;
	device[1] = info.peer_ifindex;
	return 0;
}

static int teardown(void **state)
{
	netlink_close(&netlink);
	return 0;
}

/* A program that lets everything pass. */
static int load_program(uint32_t *ret_id)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -1}, /* TC_ACT_UNSPEC */
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "pass", "GPL", code, ARRAY_SIZE(code), NULL);

	assert_true(fd >= 0);
	assert_return_code(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	*ret_id = info.id;
	return fd;
}

struct counts {
	unsigned int all, both;
};

static int count(const struct clsact *clsact, void *context)
{
	struct counts *counts = context;

	counts->all++;
	counts->both += clsact->ingress_block == BLOCK_IN && clsact->egress_block == BLOCK_OUT;
	return 0;
}

static void assert_counts(unsigned int all, unsigned int both)
{
	struct counts counts = {0};
	struct err err = {0};

	assert_return_code(qdisc_dump_clsact(netlink, count, &counts, &err), 0);
	assert_int_equal(counts.all, all);
	assert_int_equal(counts.both, both);
}

static void assert_program(uint32_t id, const char *name)
{
	struct block_program program = {0};
	struct err err = {0};

	assert_return_code(block_find_program(netlink, BLOCK_IN, &program, &err), 0);
	assert_int_equal(program.id, id);
	assert_string_equal(program.name, name);
}

/* One program on a block for all devices, exchanged in place, gone with the last device. */
static void test_block(void **state)
{
	struct netlink_batch batch = {0};
	struct block_program program;
	uint32_t first, second;
	_close_ int first_fd = load_program(&first), second_fd = load_program(&second);
	struct err err = {0};

	assert_int_equal(block_find_program(netlink, BLOCK_IN, &program, &err), -ENOENT);
	qdisc_add_clsact(&batch, device[0], BLOCK_IN, BLOCK_OUT);
	commit(&batch);
	assert_int_equal(block_find_program(netlink, BLOCK_IN, &program, &err), -ENOENT);
	check_case("an empty block", err.text, "program on block 21: there is none");
	block_set_program(&batch, BLOCK_IN, first_fd, "first");
	commit(&batch);
	assert_program(first, "first");
	qdisc_add_clsact(&batch, device[1], BLOCK_IN, BLOCK_OUT);
	qdisc_add_clsact(&batch, device[1], BLOCK_IN, BLOCK_OUT); /* it may exist */
	commit(&batch);
	block_set_program(&batch, BLOCK_IN, second_fd, "second");
	commit(&batch);
	assert_program(second, "second");
	assert_counts(2, 2);
	qdisc_delete_clsact(&batch, device[0]);
	commit(&batch);
	assert_program(second, "second");
	assert_counts(1, 1);
	qdisc_delete_clsact(&batch, device[1]);
	qdisc_delete_clsact(&batch, device[1]);
	qdisc_delete_clsact(&batch, 4242);
	commit(&batch);
	assert_int_equal(block_find_program(netlink, BLOCK_IN, &program, &err), -ENOENT);
}

static void test_without_blocks(void **state)
{
	struct netlink_batch batch = {0};

	qdisc_add_clsact(&batch, device[0], 0, 0);
	commit(&batch);
	assert_counts(1, 0);
	qdisc_delete_clsact(&batch, device[0]);
	commit(&batch);
	assert_counts(0, 0);
}

static void test_block_that_is_missing(void **state)
{
	_netlink_batch_ struct netlink_batch batch = {0};
	uint32_t id;
	_close_ int fd = load_program(&id);
	struct err err = {0};

	block_set_program(&batch, 99, fd, "lost");
	assert_true(netlink_commit(netlink, &batch, &err) < 0);
	assert_non_null(strstr(err.text, "program lost on block 99: "));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_without_blocks),
		cmocka_unit_test(test_block_that_is_missing),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, setup, teardown);
}
