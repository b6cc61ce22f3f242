/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that no kernel gives: netlink.c is included, so that a socketpair can be the kernel. */
#include "check.h"

#include "linux/link.h"
#include "linux/netlink.c"

#include <net/if_arp.h>

struct answer {
	struct nlmsghdr header;
	union {
		struct ifinfomsg link;
		int error;
	};
	struct nlattr attribute;
	char value[4];
} __attribute__((packed));

static struct answer answer_link(void)
{
	return (struct answer){.header = {sizeof(struct answer), RTM_NEWLINK, 0, 1, 0},
		.link = {.ifi_index = 7, .ifi_type = ARPHRD_ETHER},
		.attribute = {8, IFLA_MTU},
		.value = {(char)0xdc, 5}};
}

static int answer_count(const struct link_info *info, void *context)
{
	unsigned int *seen = context;

	*seen = *seen * 10000 + info->mtu + 1;
	return 0;
}

/* What a dump says of the answer and the end of the dump behind it. */
static int answer_dump(const struct answer *answer, size_t size, unsigned int *seen)
{
	const struct nlmsghdr done = {sizeof(done), NLMSG_DONE, 0, 1, 0};
	struct netlink netlink = {.receive = mem_new(NETLINK_RECEIVE_SIZE, 1)};
	struct err err = {0};
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
	netlink.fd = pair[0];
	assert_int_equal(send(pair[1], answer, size, 0), size);
	assert_int_equal(send(pair[1], &done, sizeof(done), 0), sizeof(done));
	r = link_dump(&netlink, answer_count, seen, &err);
	free(netlink.receive);
	close(pair[0]);
	close(pair[1]);
	return r;
}

static void test_answers_that_are_odd(void **state)
{
	static const struct {
		const char *name;
		uint32_t length; /* as the header says; 0: what it has */
		uint16_t type, attribute_length;
		size_t size; /* sent; 0: all */
		int error, result;
		unsigned int seen;
	} cases[] = {
		{"as it should be", .seen = 1501},
		{"a length that is negative when signed", .length = 0xecececec},
		{"a length behind the end", .length = 4096},
		{"a length of nothing", .length = 3},
		{"no family header", .length = sizeof(struct nlmsghdr)},
		{"half a family header", .length = sizeof(struct nlmsghdr) + 9},
		{"another type", .type = RTM_NEWADDR},
		{"an attribute that is too short", .attribute_length = 5, .seen = 1},
		{"an attribute behind the end", .attribute_length = 200, .seen = 1},
		{"the least error", .type = NLMSG_ERROR, .error = INT32_MIN, .result = -EPROTO},
		{"a positive error", .type = NLMSG_ERROR, .error = 5, .result = -EPROTO},
		{"an error", .type = NLMSG_ERROR, .error = -EPERM, .result = -EPERM},
		{"an error without a number", .type = NLMSG_ERROR, .size = 16, .length = 16},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer answer = answer_link();
		unsigned int seen = 0;

		if (cases[i].length)
			answer.header.nlmsg_len = cases[i].length;
		if (cases[i].type)
			answer.header.nlmsg_type = cases[i].type;
		if (cases[i].attribute_length)
			answer.attribute.nla_len = cases[i].attribute_length;
		if (cases[i].type == NLMSG_ERROR)
			answer.error = cases[i].error;
		if (answer_dump(&answer, cases[i].size ? cases[i].size : sizeof(answer), &seen) !=
				cases[i].result ||
			seen != cases[i].seen)
			fail_msg("%s: saw %u", cases[i].name, seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers_that_are_odd)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
