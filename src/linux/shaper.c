/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/shaper.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SHAPER_BURST_MIN 16384U	    /* ten frames of 1500; larger packets are cut by the queue */
#define SHAPER_BURSTS_PER_SECOND 50 /* of the rate: bounds the burst at 20 ms */
#define SHAPER_WAITS_PER_SECOND 20  /* and what may wait at 50 ms */
#define SHAPER_BYTES_MAX (1U << 30)
#define SHAPER_HANDLE TC_H_MAKE(0x60830000U, 0)

static uint64_t between(uint64_t minimum, uint64_t value, uint64_t maximum)
{
	return value < minimum ? minimum : value > maximum ? maximum : value;
}

struct shaper shaper_of_bits(uint64_t rate_bits, uint64_t burst_bits)
{
	uint64_t rate = rate_bits / 8 ? rate_bits / 8 : 1;
	uint64_t most =
		between(SHAPER_BURST_MIN, rate / SHAPER_BURSTS_PER_SECOND, SHAPER_BYTES_MAX);
	uint64_t burst = between(SHAPER_BURST_MIN, burst_bits / 8, most);
	uint64_t wait =
		between(4 * SHAPER_BURST_MIN, rate / SHAPER_WAITS_PER_SECOND, SHAPER_BYTES_MAX);

	return (struct shaper){
		.rate = rate, .burst = (uint32_t)burst, .limit = (uint32_t)(burst + wait)};
}

static void shaper_header(struct nlmsghdr *message, unsigned int ifindex)
{
	struct tcmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

	header->tcm_family = AF_UNSPEC;
	header->tcm_ifindex = (int)ifindex;
	header->tcm_parent = TC_H_ROOT;
}

void shaper_set(struct netlink_batch *batch, unsigned int ifindex, const struct shaper *shaper)
{
	struct nlmsghdr *message = netlink_begin(batch, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE,
		0, "token bucket on device %u", ifindex);
	struct tc_tbf_qopt parameters = {.limit = shaper->limit};
	struct nlattr *options;

	shaper_header(message, ifindex);
	((struct tcmsg *)mnl_nlmsg_get_payload(message))->tcm_handle = SHAPER_HANDLE;
	mnl_attr_put_strz(message, TCA_KIND, "tbf");
	options = mnl_attr_nest_start(message, TCA_OPTIONS);
	/* From 2^32 - 1 on the rate is in the attribute of 64 bits. */
	parameters.rate.rate = (uint32_t)between(1, shaper->rate, UINT32_MAX);
	parameters.rate.linklayer = TC_LINKLAYER_ETHERNET;
	mnl_attr_put(message, TCA_TBF_PARMS, sizeof(parameters), &parameters);
	mnl_attr_put_u64(message, TCA_TBF_RATE64, shaper->rate);
	mnl_attr_put_u32(message, TCA_TBF_BURST, shaper->burst);
	mnl_attr_nest_end(message, options);
	netlink_end(batch, message);
}

static void shaper_read(const struct nlattr *options, struct shaper *ret_shaper)
{
	const struct nlattr *at[TCA_TBF_MAX + 1];

	netlink_read_nest(options, at, ARRAY_SIZE(at));
	if (at[TCA_TBF_PARMS] &&
		mnl_attr_get_payload_len(at[TCA_TBF_PARMS]) >= sizeof(struct tc_tbf_qopt)) {
		const struct tc_tbf_qopt *parameters = mnl_attr_get_payload(at[TCA_TBF_PARMS]);

		ret_shaper->rate = parameters->rate.rate;
		ret_shaper->limit = parameters->limit;
	}
	if (at[TCA_TBF_RATE64] && mnl_attr_get_payload_len(at[TCA_TBF_RATE64]) == sizeof(uint64_t))
		ret_shaper->rate = mnl_attr_get_u64(at[TCA_TBF_RATE64]);
}

struct shaper_walk {
	shaper_each each;
	void *context;
};

static int shaper_visit(const struct nlmsghdr *message, void *context)
{
	const struct tcmsg *header = mnl_nlmsg_get_payload(message);
	const struct shaper_walk *walk = context;
	const struct nlattr *at[TCA_MAX + 1];
	struct shaper shaper = {0};
	char kind[16] = "";

	if (header->tcm_parent != TC_H_ROOT)
		return 0;
	netlink_read(message, sizeof(*header), at, ARRAY_SIZE(at));
	if (at[TCA_KIND])
		netlink_read_text(at[TCA_KIND], kind, sizeof(kind));
	if (strcmp(kind, "tbf") != 0 || !at[TCA_OPTIONS])
		return 0;
	shaper_read(at[TCA_OPTIONS], &shaper);
	return walk->each((unsigned int)header->tcm_ifindex, &shaper, walk->context);
}

int shaper_dump(struct netlink *netlink, shaper_each each, void *context, struct err *err)
{
	struct shaper_walk walk = {each, context};
	char buffer[NETLINK_MESSAGE_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	shaper_header(request, 0);
	request->nlmsg_type = RTM_GETQDISC;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	return netlink_request(
		netlink, request, "reading the token buckets", shaper_visit, &walk, err);
}

struct shaper_search {
	unsigned int ifindex;
	bool found;
	struct shaper shaper;
};

static int shaper_compare(unsigned int ifindex, const struct shaper *shaper, void *context)
{
	struct shaper_search *search = context;

	if (ifindex == search->ifindex) {
		search->found = true;
		search->shaper = *shaper;
	}
	return 0;
}

int shaper_find(
	struct netlink *netlink, unsigned int ifindex, struct shaper *ret_shaper, struct err *err)
{
	struct shaper_search search = {.ifindex = ifindex};
	int r = shaper_dump(netlink, shaper_compare, &search, err);

	if (r < 0)
		return r;
	if (!search.found)
		return err_set(err, ENOENT, "token bucket on device %u: there is none", ifindex);
	*ret_shaper = search.shaper;
	return 0;
}

bool shaper_is(const struct shaper *found, const struct shaper *wanted)
{
	return found->rate == wanted->rate && found->limit == wanted->limit;
}
