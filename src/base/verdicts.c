/* SPDX-License-Identifier: Apache-2.0 */
#include "base/verdicts.h"

#include "base/mem.h"

static const struct {
	const char *name;
	const char *sentence;
	enum verdict_kind kind;
} verdict_words[VERDICT_MAX] = {
#define VERDICT_WORDS(number, NAME, kind, name, sentence)                                          \
	[number] = {name, sentence, VERDICT_KIND_##kind},
	VERDICT_LIST(VERDICT_WORDS)
};

static const char *const verdict_kind_names[] = {[VERDICT_KIND_FORWARD] = "forward",
	[VERDICT_KIND_ANSWER] = "answer", [VERDICT_KIND_DROP] = "drop"};
_Static_assert(ARRAY_SIZE(verdict_kind_names) == VERDICT_KIND_MAX, "a name for each kind");

static const char *const hook_names[] = {
#define HOOK_WORDS(NAME, name) [HOOK_##NAME] = name,
	HOOK_LIST(HOOK_WORDS)
};
_Static_assert(ARRAY_SIZE(hook_names) == HOOK_MAX, "a name for each hook");

const char *verdict_name(unsigned int verdict)
{
	return verdict < VERDICT_MAX ? verdict_words[verdict].name : NULL;
}

const char *verdict_sentence(unsigned int verdict)
{
	return verdict < VERDICT_MAX ? verdict_words[verdict].sentence : NULL;
}

enum verdict_kind verdict_kind(unsigned int verdict)
{
	return verdict_words[verdict].kind;
}

const char *verdict_kind_name(enum verdict_kind kind)
{
	return verdict_kind_names[kind];
}

const char *hook_name(unsigned int hook)
{
	return hook < HOOK_MAX ? hook_names[hook] : NULL;
}
