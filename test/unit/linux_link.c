/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/link.h"

#include "check.h"
#include "linux/address.h"
#include "linux/netns.h"
#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sys/socket.h>

static struct netlink *netlink; /* of the test's namespace */
static struct netlink *pod; /* of a second one */
static int pod_namespace = -1;

static const unsigned char mac_near[LINK_MAC_SIZE] = {2, 0, 0, 0, 0, 1};
static const unsigned char mac_far[LINK_MAC_SIZE] = {2, 0, 0, 0, 0, 2};

static void commit(struct netlink_batch *batch)
{
	struct err err = {0};

	if (netlink_commit(netlink, batch, &err) < 0)
		fail_msg("%s", err.text);
	netlink_batch_clear(batch);
}

static void add_pair(const char *name, unsigned int group)
{
	struct link_veth veth = {.peer_netns = pod_namespace, .mtu = 1450, .group = group};
	struct netlink_batch batch = {0};

	snprintf(veth.name, sizeof(veth.name), "%s", name);
	snprintf(veth.peer_name, sizeof(veth.peer_name), "%s", name);
	memcpy(veth.mac, mac_near, sizeof(veth.mac));
	memcpy(veth.peer_mac, mac_far, sizeof(veth.peer_mac));
	link_add_veth(&batch, &veth);
	commit(&batch);
}

static int open_pod_namespace(void)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct err err = {0};
	int r;

	if (own < 0 || unshare(CLONE_NEWNET) < 0)
		return -errno;
	pod_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	r = netlink_open(&pod, &err);
	if (setns(own, CLONE_NEWNET) < 0)
		return -errno;
	close(own);
	return r < 0 ? r : netlink_open(&netlink, &err);
}

static int setup(void **state)
{
	return open_pod_namespace();
}

static int teardown(void **state)
{
	netlink_close(&netlink);
	netlink_close(&pod);
	close(pod_namespace);
	return 0;
}

static int count_address(const struct address *address, void *context)
{
	(*(unsigned int *)context)++;
	return 0;
}

static void test_veth(void **state)
{
	struct netlink_batch batch = {0};
	struct link_info near, far;
	unsigned int addresses = 0;
	struct err err = {0};

	add_pair("pair", 7);
	assert_return_code(link_find(netlink, "pair", &near, &err), 0);
	assert_return_code(link_find(pod, "pair", &far, &err), 0);
	assert_string_equal(near.name, "pair");
	assert_string_equal(near.kind, "veth");
	assert_memory_equal(near.mac, mac_near, LINK_MAC_SIZE);
	assert_memory_equal(far.mac, mac_far, LINK_MAC_SIZE);
	assert_int_equal(near.mtu, 1450);
	assert_int_equal(far.mtu, 1450);
	assert_int_equal(near.group, 7);
	assert_int_equal(near.type, ARPHRD_ETHER);
	assert_int_equal(near.peer_ifindex, far.ifindex);
	assert_int_equal(far.peer_ifindex, near.ifindex);
	assert_true(near.netns_id >= 0);
	assert_true(near.up);
	assert_false(near.carrier);
	assert_false(far.up);

	link_set_up_bare(&batch, far.ifindex);
	assert_return_code(netlink_commit(pod, &batch, &err), 0);
	netlink_batch_clear(&batch);
	assert_return_code(link_find_index(netlink, near.ifindex, &near, &err), 0);
	assert_true(near.carrier);
	assert_return_code(address_dump(netlink, near.ifindex, count_address, &addresses, &err), 0);
	assert_return_code(address_dump(pod, far.ifindex, count_address, &addresses, &err), 0);
	assert_int_equal(addresses, 0); /* no link-local address on either side */
	link_delete(&batch, near.ifindex);
	link_delete(&batch, near.ifindex); /* it has gone: no error */
	link_delete_name(&batch, "pair");
	commit(&batch);
	assert_int_equal(link_find(netlink, "pair", &near, &err), -ENODEV);
	assert_int_equal(link_find(pod, "pair", &far, &err), -ENODEV);
}

static void test_veth_that_exists(void **state)
{
	struct link_veth veth = {.name = "twice", .peer_name = "other", .peer_netns = -1};
	struct netlink_batch batch = {0};
	struct err err = {0};

	memcpy(veth.mac, mac_near, sizeof(veth.mac));
	memcpy(veth.peer_mac, mac_far, sizeof(veth.peer_mac));
	link_add_veth(&batch, &veth);
	commit(&batch);
	link_add_veth(&batch, &veth);
	assert_int_equal(netlink_commit(netlink, &batch, &err), -EEXIST);
	assert_string_equal(err.text, "device twice: File exists");
	assert_int_equal(batch.message[0].result, -EEXIST);
	netlink_batch_clear(&batch);
	link_delete_name(&batch, "twice");
	commit(&batch);
}

static void test_vxlan(void **state)
{
	const struct link_vxlan vxlan = {.name = "tunnel", .port = 6083, .mtu = 1450};
	struct netlink_batch batch = {0};
	struct link_info info;
	unsigned int addresses = 0;
	struct err err = {0};

	link_add_vxlan(&batch, &vxlan);
	commit(&batch);
	assert_return_code(link_find(netlink, "tunnel", &info, &err), 0);
	assert_string_equal(info.kind, "vxlan");
	assert_int_equal(info.vxlan_port, 6083);
	assert_true(info.vxlan_external);
	assert_int_equal(info.mtu, 1450);
	assert_false(info.up);
	link_set_up(&batch, info.ifindex, true);
	link_set_mtu(&batch, info.ifindex, 1400);
	link_set_mac(&batch, info.ifindex, mac_far);
	commit(&batch);
	assert_return_code(link_find(netlink, "tunnel", &info, &err), 0);
	assert_true(info.up);
	assert_int_equal(info.mtu, 1400);
	assert_memory_equal(info.mac, mac_far, LINK_MAC_SIZE);
	assert_return_code(address_dump(netlink, info.ifindex, count_address, &addresses, &err), 0);
	assert_int_equal(addresses, 0);
	link_set_up(&batch, info.ifindex, false);
	link_set_name(&batch, info.ifindex, "renamed");
	link_delete_name(&batch, "renamed");
	commit(&batch);
}

static int count_group(const struct link_info *info, void *context)
{
	unsigned int *counts = context;

	counts[info->group == 9]++;
	return 0;
}

static void test_bury(void **state)
{
	struct netlink_batch batch = {0};
	struct helper helper = HELPER_NONE;
	unsigned int counts[2] = {0};
	struct link_info info;
	struct err err = {0};

	add_pair("live", 0);
	for (unsigned int i = 0; i < 5; i++) {
		char name[IF_NAMESIZE];

		snprintf(name, sizeof(name), "dead%u", i);
		add_pair(name, 0);
		assert_return_code(link_find(netlink, name, &info, &err), 0);
		link_set_group(&batch, info.ifindex, 9);
	}
	commit(&batch);
	assert_return_code(link_dump(netlink, count_group, counts, &err), 0);
	assert_int_equal(counts[1], 5);
	assert_return_code(link_bury(9, &helper, &err), 0);
	assert_return_code(helper_finish(&helper, &err), 0);
	memset(counts, 0, sizeof(counts));
	assert_return_code(link_dump(netlink, count_group, counts, &err), 0);
	assert_int_equal(counts[1], 0);
	assert_return_code(link_find(netlink, "live", &info, &err), 0);
	link_delete_name(&batch, "live");
	commit(&batch);
}

/* Every portion's answers must fit the socket's buffer. */
static void test_many_messages(void **state)
{
	struct netlink_batch batch = {0};

	for (unsigned int i = 0; i < 2000; i++)
		link_delete(&batch, 100000 + i);
	commit(&batch);
}

/* The kernel goes on after a refusal; the reason names the first, and every message its own. */
static void test_failures(void **state)
{
	const struct address nowhere = {
		.addr = {.bytes = {0xfd, [15] = 1}}, .length = 128, .ifindex = 4242};
	struct netlink_batch batch = {0};
	struct err err = {0};

	link_delete_name(&batch, "none");
	address_add(&batch, &nowhere);
	link_set_up(&batch, 4243, true);
	link_delete_name(&batch, "none-either");
	assert_int_equal(netlink_commit(netlink, &batch, &err), -ENODEV);
	assert_non_null(strstr(err.text, "address fd00::1 on device 4242: No such device"));
	assert_non_null(strstr(err.text, "so did 1 other change"));
	assert_int_equal(batch.message[0].result, 0);
	assert_int_equal(batch.message[1].result, -ENODEV);
	assert_int_equal(batch.message[2].result, -ENODEV);
	assert_int_equal(batch.message[3].result, 0);
	netlink_batch_clear(&batch);
}

static void test_adopt(void **state)
{
	_close_ int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_close_ int other = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 9 /* NETLINK_AUDIT */);
	struct netlink *adopted = NULL;
	struct link_info info;
	struct err err = {0};

	assert_int_equal(netlink_adopt(stream, &adopted, &err), -EINVAL);
	assert_int_equal(netlink_adopt(other, &adopted, &err), -EINVAL);
	assert_int_equal(netlink_adopt(0, &adopted, &err), -EINVAL);
	assert_null(adopted);
	assert_return_code(
		netlink_adopt(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), &adopted, &err), 0);
	assert_return_code(link_find(adopted, "lo", &info, &err), 0);
	assert_true(info.loopback);
	netlink_close(&adopted);
	netlink_close(&adopted);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_veth),
		cmocka_unit_test(test_veth_that_exists),
		cmocka_unit_test(test_vxlan),
		cmocka_unit_test(test_bury),
		cmocka_unit_test(test_many_messages),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_adopt),
	};
	int r = root_enter_namespaces();

	return r ? r : cmocka_run_group_tests(tests, setup, teardown);
}
