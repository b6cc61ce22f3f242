/* SPDX-License-Identifier: Apache-2.0 */
#include "cni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
	size_t capacity = bytes->capacity ? bytes->capacity : 4096;

	while (capacity - bytes->length < size)
		capacity *= 2;
	if (capacity != bytes->capacity) {
		bytes->data = realloc(bytes->data, capacity);
		if (!bytes->data)
			cni_fail(CNI_IO, "out of memory");
		bytes->capacity = capacity;
	}
	memcpy(bytes->data + bytes->length, data, size);
	bytes->length += size;
}

void bytes_append_text(struct bytes *bytes, const char *text)
{
	bytes_append(bytes, text, strlen(text));
}

/* RFC 8259, section 7: quotation mark, backslash, and what is below a space. */
void bytes_append_json(struct bytes *bytes, const char *data, size_t size)
{
	size_t start = 0;

	bytes_append(bytes, "\"", 1);
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)data[i];
		char escape[8];

		if (byte >= ' ' && byte != '"' && byte != '\\')
			continue;
		bytes_append(bytes, data + start, i - start);
		start = i + 1;
		snprintf(escape, sizeof(escape), "\\u%04x", byte);
		bytes_append_text(bytes, escape);
	}
	bytes_append(bytes, data + start, size - start);
	bytes_append(bytes, "\"", 1);
}
