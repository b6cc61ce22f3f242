/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253
#define PORT_NAME_MAX 15

static void text_reserve(struct text *text, size_t more)
{
	text->data = mem_grow(text->data, &text->capacity, text->length + more + 1, 1);
}

void text_append_bytes(struct text *text, const void *bytes, size_t size)
{
	text_reserve(text, size);
	if (size)
		memcpy(text->data + text->length, bytes, size);
	text->length += size;
	text->data[text->length] = '\0';
}

void text_append(struct text *text, const char *string)
{
	text_append_bytes(text, string, strlen(string));
}

void text_vprintf(struct text *text, const char *format, va_list arguments)
{
	_free_ char *string = mem_vformat(format, arguments);

	text_append(text, string);
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text_vprintf(text, format, arguments);
	va_end(arguments);
}

/* How long a character is that begins with this byte; 0: none does. */
static size_t utf8_length(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf8 ? 4 : 0;
}

/*
 * The length of the UTF-8 character at `bytes`, 0 where there is none. RFC 3629: shortest form,
 * no surrogates, at most U+10FFFF.
 */
static size_t utf8_read(const uint8_t *bytes, size_t size, uint32_t *ret_character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = utf8_length(bytes[0]);
	uint32_t character = bytes[0];

	if (length == 0 || length > size)
		return 0;
	if (length > 1)
		character &= 0xffU >> (length + 1);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (bytes[i] & 0x3f);
	}
	if (character < least[length] || character > 0x10ffff ||
		(character >= 0xd800 && character <= 0xdfff))
		return 0;
	*ret_character = character;
	return length;
}

bool text_is_utf8(const char *bytes, size_t size, size_t *ret_offset)
{
	uint32_t character;

	for (size_t at = 0; at < size;) {
		size_t length = utf8_read((const uint8_t *)bytes + at, size - at, &character);

		if (length == 0) {
			if (ret_offset)
				*ret_offset = at;
			return false;
		}
		at += length;
	}
	return true;
}

/* Control characters, and those that turn the direction, hide or break lines (Cf, Zl, Zp). */
static bool character_is_unsafe(uint32_t character)
{
	static const uint32_t ranges[][2] = {
		{0x0, 0x1f},
		{0x7f, 0x9f},
		{0xad, 0xad},
		{0x61c, 0x61c},
		{0x180e, 0x180e},
		{0x200b, 0x200f},
		{0x2028, 0x202e},
		{0x2060, 0x206f},
		{0xd800, 0xf8ff},
		{0xfeff, 0xfeff},
		{0xfff0, 0xffff},
		{0xe0000, 0x10ffff},
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (character >= ranges[i][0] && character <= ranges[i][1])
			return true;
	return false;
}

void text_append_safe(struct text *text, const char *string)
{
	size_t size = strlen(string);

	for (size_t at = 0; at < size;) {
		uint32_t character;
		size_t length = utf8_read((const uint8_t *)string + at, size - at, &character);

		if (length > 0 && !character_is_unsafe(character)) {
			text_append_bytes(text, string + at, length);
			at += length;
			continue;
		}
		for (size_t end = at + (length ? length : 1); at < end; at++)
			text_printf(text, "\\x%02x", (uint8_t)string[at]);
	}
}

void text_pad(struct text *text, size_t column)
{
	const char *line = text->length ? memrchr(text->data, '\n', text->length) : NULL;
	size_t width = 0;

	/* One character is one column: bytes that go on a UTF-8 character do not count. */
	for (const char *at = line ? line + 1 : text_string(text); *at; at++)
		width += (*at & 0xc0) != 0x80;
	for (; width < column; width++)
		text_append(text, " ");
}

const char *text_string(const struct text *text)
{
	return text->data ? text->data : "";
}

char *text_take(struct text *text)
{
	char *string = text->data ? text->data : mem_string("");

	*text = (struct text){0};
	return string;
}

void text_clear(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}

size_t text_line_at(const char *bytes, size_t offset)
{
	size_t line = 1;

	for (size_t at = 0; at < offset; at++)
		line += bytes[at] == '\n';
	return line;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower_or_digit(char c)
{
	return is_lower(c) || is_digit(c);
}

static bool is_alphanumeric(char c)
{
	return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

/* At least one character; both ends are `end`, what is between is `end` or one of `inner`. */
static bool name_is_made_of(const char *name, size_t size, bool (*end)(char c), const char *inner)
{
	if (size == 0 || !end(name[0]) || !end(name[size - 1]))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!end(name[i]) && !strchr(inner, name[i]))
			return false;
	return true;
}

bool name_is_label(const char *name)
{
	size_t size = strlen(name);

	return size <= LABEL_MAX && name_is_made_of(name, size, is_lower_or_digit, "-");
}

static bool name_is_subdomain_sized(const char *name, size_t size)
{
	if (size > SUBDOMAIN_MAX)
		return false;
	for (;;) {
		const char *dot = memchr(name, '.', size);
		size_t label = dot ? (size_t)(dot - name) : size;

		if (!name_is_made_of(name, label, is_lower_or_digit, "-"))
			return false;
		if (!dot)
			return true;
		name += label + 1;
		size -= label + 1;
	}
}

bool name_is_subdomain(const char *name)
{
	return name_is_subdomain_sized(name, strlen(name));
}

bool name_is_port(const char *name)
{
	size_t size = strlen(name);

	if (size > PORT_NAME_MAX || !name_is_made_of(name, size, is_lower_or_digit, "-") ||
		strstr(name, "--"))
		return false;
	for (; *name; name++)
		if (is_lower(*name))
			return true;
	return false;
}

bool name_is_label_key(const char *key)
{
	const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;
	size_t size = strlen(name);

	if (slash && !name_is_subdomain_sized(key, (size_t)(slash - key)))
		return false;
	return size <= LABEL_MAX && name_is_made_of(name, size, is_alphanumeric, "-_.");
}

bool name_is_label_value(const char *value)
{
	size_t size = strlen(value);

	return size == 0 ||
	       (size <= LABEL_MAX && name_is_made_of(value, size, is_alphanumeric, "-_."));
}
