/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include <string.h>

/*
 * A reader that builds nothing: it walks over one value and notes the one text that the plugin
 * itself wants. What the text means is for the agent to judge.
 */

#define JSON_DEPTH 200 /* each level costs a little of the stack */

struct json {
	const char *at, *end;
	unsigned int depth; /* of containers around `at` */
	char *version;
};

/* Of a character that begins with this byte; 0: none does. */
static unsigned int json_text_length(unsigned char byte)
{
	if (byte < 0x80)
		return byte ? 1 : 0;
	if (byte < 0xc2 || byte > 0xf4)
		return 0;
	return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

bool json_is_text(const char *data, size_t size)
{
	const unsigned char *at = (const unsigned char *)data, *end = at + size;

	while (at < end) {
		unsigned int length = json_text_length(*at);

		if (!length || (size_t)(end - at) < length)
			return false;
		/* Neither longer than need be, nor a surrogate, nor beyond U+10FFFF. */
		if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
			(*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
			return false;
		for (unsigned int i = 1; i < length; i++)
			if ((at[i] & 0xc0) != 0x80)
				return false;
		at += length;
	}
	return true;
}

static void json_skip_space(struct json *json)
{
	while (json->at < json->end && memchr(" \t\r\n", *json->at, 4))
		json->at++;
}

/* Whether `byte` comes next, behind space; it is taken. */
static bool json_take(struct json *json, char byte)
{
	json_skip_space(json);
	if (json->at == json->end || *json->at != byte)
		return false;
	json->at++;
	return true;
}

static bool json_hex(struct json *json)
{
	for (unsigned int i = 0; i < 4; i++, json->at++)
		if (json->at == json->end || !*json->at ||
			!strchr("0123456789abcdefABCDEF", *json->at))
			return false;
	return true;
}

/* Behind its opening quote; ret_size is without the quotes. */
static bool json_string(struct json *json, const char **ret_text, size_t *ret_size)
{
	*ret_text = json->at;
	while (json->at < json->end) {
		char byte = *json->at++;

		if (byte == '"') {
			*ret_size = (size_t)(json->at - 1 - *ret_text);
			return true;
		}
		if ((unsigned char)byte < ' ')
			return false;
		if (byte != '\\')
			continue;
		if (json->at == json->end || !*json->at || !strchr("\"\\/bfnrtu", *json->at))
			return false;
		if (*json->at++ == 'u' && !json_hex(json))
			return false;
	}
	return false;
}

static bool json_word(struct json *json, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(json->end - json->at) < size || memcmp(json->at, word, size) != 0)
		return false;
	json->at += size;
	return true;
}

static bool json_digits(struct json *json)
{
	const char *start = json->at;

	while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
		json->at++;
	return json->at > start;
}

static bool json_number(struct json *json)
{
	json_word(json, "-");
	if (!json_word(json, "0") && !json_digits(json))
		return false;
	if (json_word(json, ".") && !json_digits(json))
		return false;
	if (!json_word(json, "e") && !json_word(json, "E"))
		return true;
	if (!json_word(json, "+"))
		json_word(json, "-");
	return json_digits(json);
}

static bool json_value(struct json *json);

static void json_note_version(struct json *json, const char *text, size_t size)
{
	if (size == 0 || size >= CNI_VERSION_SIZE)
		return;
	for (size_t i = 0; i < size; i++)
		if ((text[i] < '0' || text[i] > '9') && text[i] != '.')
			return;
	memcpy(json->version, text, size);
	json->version[size] = '\0';
}

static bool json_member(struct json *json)
{
	static const char version[] = "cniVersion";
	const char *name, *text;
	size_t name_size, size;

	if (!json_take(json, '"') || !json_string(json, &name, &name_size) || !json_take(json, ':'))
		return false;
	if (json->depth != 1 || name_size != strlen(version) ||
		memcmp(name, version, name_size) != 0 || !json_take(json, '"'))
		return json_value(json);
	if (!json_string(json, &text, &size))
		return false;
	json_note_version(json, text, size);
	return true;
}

/* Behind the opening bracket: parts with commas between them. */
static bool json_parts(struct json *json, bool (*part)(struct json *json), char close)
{
	if (json->depth == JSON_DEPTH)
		return false;
	json->depth++;
	if (!json_take(json, close)) {
		do
			if (!part(json))
				return false;
		while (json_take(json, ','));
		if (!json_take(json, close))
			return false;
	}
	json->depth--;
	return true;
}

static bool json_value(struct json *json)
{
	const char *text;
	size_t size;

	if (json_take(json, '{'))
		return json_parts(json, json_member, '}');
	if (json_take(json, '['))
		return json_parts(json, json_value, ']');
	if (json_take(json, '"'))
		return json_string(json, &text, &size);
	return json_word(json, "true") || json_word(json, "false") || json_word(json, "null") ||
	       json_number(json);
}

bool json_check(const char *data, size_t size, char version[CNI_VERSION_SIZE])
{
	struct json json = {.at = data, .end = data + size, .version = version};

	if (!json_is_text(data, size) || !json_value(&json))
		return false;
	json_skip_space(&json);
	return json.at == json.end;
}
