/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/packet.h against the slow parser of test/fuzz on 100,000 packets, the same in every run.
 * Pure noise would end at the first length, so packets are built right and then spoilt a little.
 */
#include "check.h"

#include "test/fuzz/packet_compare.h"

#include <stdio.h>

#define PACKETS 100000
#define PACKET_SIZE 300

struct build {
	uint8_t bytes[PACKET_SIZE];
	size_t size;
	uint64_t random;
};

static uint8_t build_random(struct build *b, uint32_t below)
{
	return (uint8_t)(check_random(&b->random) % below);
}

static void build_put(struct build *b, size_t at, size_t value)
{
	b->bytes[at] = (uint8_t)(value >> 8);
	b->bytes[at + 1] = (uint8_t)value;
}

static void build_ipv4(struct build *b)
{
	static const uint8_t protocols[] = {6, 17, 1, 132, 4, 50};
	size_t options = build_random(b, 4) ? 0 : build_random(b, 11) * 4U;

	b->size = 14 + 20 + options + build_random(b, 40);
	build_put(b, 12, 0x0800);
	b->bytes[14] = (uint8_t)(0x45 + options / 4);
	build_put(b, 16, b->size - 14);
	build_put(b, 20, build_random(b, 3) ? 0 : build_random(b, 2) ? 0x2000 : build_random(b, 9));
	b->bytes[23] = protocols[build_random(b, sizeof(protocols))];
}

/* Up to seven extension headers in any order, each of its own size. */
static void build_ipv6(struct build *b)
{
	static const uint8_t kinds[] = {0, 43, 44, 51, 60}, ends[] = {6, 17, 58, 132, 59, 50};
	unsigned int count = build_random(b, 2) ? 0 : build_random(b, 8);
	size_t next = 20;

	b->size = 14 + 40;
	for (unsigned int i = 0; i < count; i++) {
		uint8_t kind = kinds[build_random(b, sizeof(kinds))], length = build_random(b, 2);

		b->bytes[next] = kind;
		next = b->size;
		b->bytes[next + 1] = length;
		if (kind == 44)
			build_put(b, next + 2, build_random(b, 2) ? build_random(b, 2) : 8);
		b->size += kind == 44 ? 8 : kind == 51 ? (length + 2U) * 4 : (length + 1U) * 8;
	}
	b->bytes[next] = ends[build_random(b, sizeof(ends))];
	b->size += build_random(b, 40);
	build_put(b, 12, 0x86dd);
	b->bytes[14] = 0x60;
	build_put(b, 18, b->size - 54);
}

static void build_packet(struct build *b)
{
	for (size_t i = 0; i < PACKET_SIZE; i++)
		b->bytes[i] = build_random(b, 256);
	if (build_random(b, 2))
		build_ipv4(b);
	else
		build_ipv6(b);
	if (build_random(b, 4) == 0) /* padding */
		b->size += build_random(b, 30);
	if (build_random(b, 6) == 0) /* cut off */
		b->size -= check_random(&b->random) % b->size;
	for (unsigned int i = build_random(b, 4); i > 0 && b->size; i--)
		b->bytes[check_random(&b->random) % b->size] = build_random(b, 256);
}

static void print_packet(const struct build *b)
{
	for (size_t i = 0; i < b->size; i++)
		print_error("%02x%s", b->bytes[i], i % 16 == 15 ? "\n" : " ");
	print_error("\n");
}

static void test_equal_to_the_slow_parser(void **state)
{
	struct build b = {.random = 1};
	unsigned int seen[3] = {0};

	(void)state;
	for (unsigned int i = 0; i < PACKETS; i++) {
		struct packet_parsed native, plain;
		const char *difference;

		build_packet(&b);
		struct packet_input input = {.bytes = b.bytes,
			.size = b.size,
			.linear = build_random(&b, 100),
			.gso_size = build_random(&b, 8) ? 0 : 1400,
			.vlan = build_random(&b, 50) == 0};
		packet_parse_native(&input, &native);
		packet_parse_reference(&input, &plain);
		difference = packet_difference(&native, &plain);
		if (difference) {
			print_packet(&b);
			fail_msg("packet %u: %s", i, difference);
		}
		seen[plain.class]++;
	}
	/* The comparison means something: each way is taken often. */
	assert_true(seen[PACKET_PASSES] > PACKETS / 4 && seen[PACKET_DROPS] > PACKETS / 10 &&
		seen[PACKET_IS_NO_IP] > PACKETS / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal_to_the_slow_parser)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
