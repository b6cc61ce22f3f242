/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* A string that grows. All zeroes is an empty one; `data` ends with a NUL that is not counted. */
struct text {
	char *data; /* NULL while nothing was appended */
	size_t length, capacity;
};

#define _text_ __attribute__((cleanup(text_clear)))

void text_append(struct text *text, const char *string);
void text_append_bytes(struct text *text, const void *bytes, size_t size);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list arguments);
/*
 * For terminals: what is no printable UTF-8 character becomes \xNN, so that no name from outside
 * can move the cursor, recolour a screen, turn its direction or forge a line.
 */
void text_append_safe(struct text *text, const char *string);
/* Spaces until the text since the last line break is `column` characters wide. */
void text_pad(struct text *text, size_t column);

const char *text_string(const struct text *text); /* "" while empty */
char *text_take(struct text *text); /* the string, for free(); leaves an empty text */
void text_clear(struct text *text);

/* Whether all bytes are UTF-8 (RFC 3629); if not, *ret_offset (may be NULL) is the first bad byte. */
bool text_is_utf8(const char *bytes, size_t size, size_t *ret_offset);
/* The line, from 1, that the byte at `offset` is on. */
size_t text_line_at(const char *bytes, size_t offset);

/* RFC 1123 as Kubernetes has it: at most 63 of a-z 0-9 '-', ends alphanumeric. */
bool name_is_label(const char *name);
/* Labels of any length joined by '.', at most 253 in all. */
bool name_is_subdomain(const char *name);
/* RFC 6335 service name, for ports of containers: at most 15 of a-z 0-9 '-', one letter or more. */
bool name_is_port(const char *name);
/* The key of a label: [subdomain/]name, name at most 63 of A-Za-z0-9 '-' '_' '.'. */
bool name_is_label_key(const char *key);
/* The value of a label: as the name of a key, or empty. */
bool name_is_label_value(const char *value);
