/* SPDX-License-Identifier: Apache-2.0 */
#include "base/word.h"

#include "base/hash.h"
#include "base/mem.h"

/* Word -> how many users it has. A key of the table is the word itself. */
static struct hash words;

char *word_take(const char *text)
{
	uintptr_t users = (uintptr_t)hash_get(&words, text);

	hash_put(&words, text, (void *)(users + 1));
	return hash_key(&words, text);
}

void word_release(char **word)
{
	char *released = TAKE_PTR(*word);
	uintptr_t users;

	if (!released)
		return;
	users = (uintptr_t)hash_get(&words, released);
	if (users > 1)
		hash_put(&words, released, (void *)(users - 1));
	else
		hash_remove(&words, released);
	if (words.count == 0)
		hash_clear(&words, NULL);
}
