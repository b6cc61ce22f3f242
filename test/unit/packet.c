/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/packet.h against the slow parser of test/fuzz: on every chain of up to four extension
 * headers, cut off at every byte, on every length that an IPv4 header can claim, and on 100,000
 * packets that are built right and then spoilt a little, the same in every run.
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

/* How often the slow parser has said what, so that a comparison is seen to mean something. */
struct tally {
	unsigned int of[3]; /* enum packet_class */
};

static void compare(const struct build *b, struct packet_input *input, struct tally *tally)
{
	struct packet_parsed native, plain;
	const char *difference;

	input->bytes = b->bytes;
	input->size = b->size;
	packet_parse_native(input, &native);
	packet_parse_reference(input, &plain);
	difference = packet_difference(&native, &plain);
	if (difference) {
		print_packet(b);
		fail_msg("%zu bytes, %zu in place: %s", b->size, input->linear, difference);
	}
	tally->of[plain.class]++;
}

static void test_spoilt_packets(void **state)
{
	struct build b = {.random = 1};
	struct tally tally = {0};

	(void)state;
	for (unsigned int i = 0; i < PACKETS; i++) {
		build_packet(&b);
		struct packet_input input = {.linear = build_random(&b, 100),
			.gso_size = build_random(&b, 8) ? 0 : 1400,
			.vlan = build_random(&b, 50) == 0};
		compare(&b, &input, &tally);
	}
	assert_true(tally.of[PACKET_PASSES] > PACKETS / 4 && tally.of[PACKET_DROPS] > PACKETS / 10 &&
		tally.of[PACKET_IS_NO_IP] > PACKETS / 100);
}

/*
 * What may stand in a chain: hop by hop, routing, destination options, fragment, AH, ESP, no next,
 * mobility, HIP, shim6, an experiment, an unknown one, and a transport.
 */
static const uint8_t chain_kinds[] = {0, 43, 60, 44, 51, 50, 59, 135, 139, 140, 253, 200, 6};

#define CHAIN_MAX 4

/*
 * The kinds that `number` spells, with a length field of `length` each; 0xff: random ones, and a
 * fragment header that is a first, a later or an atomic one by chance. Then a transport, and at
 * last what looks like more headers.
 */
static void build_chain(struct build *b, unsigned int number, unsigned int count, uint8_t length)
{
	static const uint8_t transports[] = {6, 17, 58, 132};
	size_t next = 20;

	memset(b->bytes, 0, sizeof(b->bytes));
	b->size = 14 + 40;
	for (unsigned int i = 0; i < count; i++, number /= ARRAY_SIZE(chain_kinds)) {
		uint8_t kind = chain_kinds[number % ARRAY_SIZE(chain_kinds)];
		uint8_t own = length == 0xff ? build_random(b, 4) : length;

		b->bytes[next] = kind;
		next = b->size;
		b->bytes[next + 1] = own;
		if (kind == 44)
			build_put(b, next + 2, length != 0xff ? 1 : build_random(b, 3) * 4U);
		b->size += kind == 44 ? 8 : kind == 51 ? (own + 2U) * 4 : (own + 1U) * 8;
	}
	b->bytes[next] = transports[build_random(b, sizeof(transports))];
	for (unsigned int i = 0; i < 24; i++)
		b->bytes[b->size++] = (uint8_t)(i * 11);
	build_put(b, 12, 0x86dd);
	b->bytes[14] = 0x60;
	b->bytes[21] = 64;
	build_put(b, 18, b->size - 54);
}

static void test_every_chain(void **state)
{
	static const uint8_t lengths[] = {0, 1, 0xff};
	struct build b = {.random = 2};
	struct tally tally = {0};

	(void)state;
	for (unsigned int count = 0, chains = 1; count <= CHAIN_MAX;
		count++, chains *= ARRAY_SIZE(chain_kinds))
		for (unsigned int number = 0; number < chains; number++)
			for (size_t i = 0; i < sizeof(lengths); i++) {
				struct packet_input input = {.linear = 54};

				build_chain(&b, number, count, lengths[i]);
				compare(&b, &input, &tally);
			}
	assert_true(tally.of[PACKET_PASSES] > 10000 && tally.of[PACKET_DROPS] > 4000);
	assert_int_equal(tally.of[PACKET_IS_NO_IP], 0);
}

/* Every chain of up to three, cut off at each byte, with the length of what is there or what was. */
static void test_every_cut(void **state)
{
	struct build b = {.random = 3};
	struct tally tally = {0};

	(void)state;
	for (unsigned int number = 0;
		number < ARRAY_SIZE(chain_kinds) * ARRAY_SIZE(chain_kinds) * ARRAY_SIZE(chain_kinds);
		number++) {
		build_chain(&b, number, 3, 0xff);
		for (size_t whole = b.size; b.size > 0; b.size--) {
			struct packet_input input = {.linear = b.size};

			compare(&b, &input, &tally);
			if (b.size < 54)
				continue;
			build_put(&b, 18, b.size - 54);
			compare(&b, &input, &tally);
			build_put(&b, 18, whole - 54);
		}
	}
	assert_true(tally.of[PACKET_PASSES] > 10000 && tally.of[PACKET_DROPS] > 10000);
}

/* What is in place ends at each byte; the rest is there after a pull, and the answer is the same. */
static void test_every_split(void **state)
{
	struct build b = {.random = 4};
	struct tally tally = {0};

	(void)state;
	for (unsigned int i = 0; i < 200; i++) {
		if (i % 2)
			build_chain(&b, build_random(&b, 169), 2, 0);
		else
			build_ipv4(&b);
		for (size_t linear = 0; linear <= b.size; linear++) {
			struct packet_input input = {.linear = linear};

			compare(&b, &input, &tally);
		}
	}
	assert_true(tally.of[PACKET_PASSES] > 1000);
}

/* Every length of the IPv4 header, against every length of the packet, in three frames. */
static void test_every_ipv4_length(void **state)
{
	static const size_t frames[] = {14 + 20, 14 + 40, 14 + 100};
	struct build b = {.random = 5};
	struct tally tally = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		for (unsigned int words = 0; words < 16; words++)
			for (size_t total = 0; total < frames[i] + 8; total++) {
				struct packet_input input = {.linear = 34};

				memset(b.bytes, 0, sizeof(b.bytes));
				b.size = frames[i];
				build_put(&b, 12, 0x0800);
				b.bytes[14] = (uint8_t)(0x40 | words);
				build_put(&b, 16, total);
				b.bytes[22] = total % 7 != 0; /* TTL */
				b.bytes[23] = total % 2 ? 6 : 17;
				compare(&b, &input, &tally);
			}
	assert_true(tally.of[PACKET_PASSES] > 100 && tally.of[PACKET_DROPS] > 1000);
}

/* What the slow parser says itself, so that both cannot be wrong together. */
static void test_known_chains(void **state)
{
	static const struct {
		unsigned int count;
		uint8_t kind[6];
		bool passes;
	} cases[] = {
		{0, {0}, true},
		{5, {0, 60, 43, 44, 51}, true}, /* RFC 8200 4.1 */
		{4, {0, 44, 51, 60}, true},
		{2, {60, 0}, false}, /* hop by hop is not first */
		{2, {44, 44}, false},
		{5, {60, 60, 60, 60, 60}, true},
		{6, {60, 60, 60, 60, 60, 60}, false}, /* more than are followed */
	};
	struct build b = {.random = 6};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct packet_input input = {.bytes = b.bytes, .linear = 54};
		struct packet_parsed plain;

		build_chain(&b, 0, 0, 0);
		for (unsigned int j = cases[i].count; j-- > 0;) {
			memmove(b.bytes + 54 + 8, b.bytes + 54, b.size - 54);
			memset(b.bytes + 54, 0, 8);
			b.bytes[54] = b.bytes[20];
			b.bytes[20] = cases[i].kind[j];
			b.size += 8;
		}
		build_put(&b, 18, b.size - 54);
		input.size = b.size;
		packet_parse_reference(&input, &plain);
		assert_int_equal(plain.class, cases[i].passes ? PACKET_PASSES : PACKET_DROPS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spoilt_packets),
		cmocka_unit_test(test_every_chain),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_every_ipv4_length),
		cmocka_unit_test(test_known_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
