/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * A name of 64 bits for content: SipHash-2-4, the same on every node and in every run. The keys
 * are public constants, so who tries long enough finds two contents of one name; whoever relies
 * on names being different checks that they are.
 */
struct digest {
	uint64_t state[4];
	uint64_t tail; /* what does not fill a word yet */
	uint64_t size;
};

/* Two purposes never give the same name to the same content but by chance. */
void digest_start(struct digest *digest, uint64_t key0, uint64_t key1);
void digest_add(struct digest *digest, const void *bytes, size_t size);
/* With its end, so that "ab" "c" and "a" "bc" differ. NULL is as "". */
void digest_add_string(struct digest *digest, const char *string);
uint64_t digest_end(struct digest *digest);
