/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <endian.h>
#include <string.h>

/* J.-P. Aumasson, D. J. Bernstein: SipHash, a fast short-input PRF (2012). */

static uint64_t rotate(uint64_t word, unsigned int bits)
{
	return word << bits | word >> (64 - bits);
}

static void digest_rounds(uint64_t v[4], unsigned int rounds)
{
	while (rounds--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

static void digest_word(struct digest *digest, uint64_t word)
{
	digest->state[3] ^= word;
	digest_rounds(digest->state, 2);
	digest->state[0] ^= word;
}

void digest_start(struct digest *digest, uint64_t key0, uint64_t key1)
{
	*digest = (struct digest){.state = {
		key0 ^ UINT64_C(0x736f6d6570736575), key1 ^ UINT64_C(0x646f72616e646f6d),
		key0 ^ UINT64_C(0x6c7967656e657261), key1 ^ UINT64_C(0x7465646279746573)}};
}

void digest_add(struct digest *digest, const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	size_t i = 0;

	/* Words as they lie there, little endian first, where nothing is left over before them. */
	for (; digest->size % 8 == 0 && size - i >= 8; i += 8) {
		uint64_t word;

		memcpy(&word, byte + i, sizeof(word));
		digest_word(digest, le64toh(word));
		digest->size += 8;
	}
	for (; i < size; i++) {
		digest->tail |= (uint64_t)byte[i] << 8 * (digest->size % 8);
		if (++digest->size % 8)
			continue;
		digest_word(digest, digest->tail);
		digest->tail = 0;
	}
}

void digest_add_string(struct digest *digest, const char *string)
{
	digest_add(digest, string ? string : "", string ? strlen(string) + 1 : 1);
}

uint64_t digest_end(struct digest *digest)
{
	digest_word(digest, digest->tail | digest->size << 56);
	digest->state[2] ^= 0xff;
	digest_rounds(digest->state, 4);
	return digest->state[0] ^ digest->state[1] ^ digest->state[2] ^ digest->state[3];
}
