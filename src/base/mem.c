/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void *mem_or_end(void *memory)
{
	if (!memory) {
		fputs("podwire: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *mem_new(size_t count, size_t size)
{
	return mem_or_end(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *memory, size_t *capacity, size_t count, size_t size)
{
	size_t wanted = *capacity ? *capacity : 8;

	if (count <= *capacity)
		return memory;
	while (wanted < count)
		wanted *= 2;
	memory = mem_or_end(wanted > SIZE_MAX / size ? NULL : realloc(memory, wanted * size));
	*capacity = wanted;
	return memory;
}

void *mem_copy(const void *memory, size_t size)
{
	void *copy = mem_new(1, size);

	if (size)
		memcpy(copy, memory, size);
	return copy;
}

char *mem_string(const char *text)
{
	return mem_or_end(strdup(text));
}

char *mem_string_or_null(const char *text)
{
	return text ? mem_string(text) : NULL;
}

char *mem_vformat(const char *format, va_list arguments)
{
	char *text = NULL;

	return mem_or_end(vasprintf(&text, format, arguments) < 0 ? NULL : text);
}

char *mem_format(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = mem_vformat(format, arguments);
	va_end(arguments);
	return text;
}
