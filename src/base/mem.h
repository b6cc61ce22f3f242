/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Scope owns. A local carries the attribute, a constructor fills a local and hands it over last
 * with `*ret_x = TAKE_PTR(x)`, a free function takes T ** and leaves NULL behind. Descriptors
 * start at -1. Early return is then always safe.
 *
 * Allocation never returns NULL: without memory the process ends with a message. The truth is in
 * the kernel and in the API, so a start anew loses nothing, and no path needs a second way out.
 */

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _free_ _cleanup_(mem_free_pointer)
#define _close_ _cleanup_(mem_close)

#define TAKE_PTR(pointer)                                                                          \
	({                                                                                         \
		__typeof__(pointer) taken_ = (pointer);                                            \
		(pointer) = NULL;                                                                  \
		taken_;                                                                            \
	})
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -1;                                                                         \
		taken_;                                                                            \
	})
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Zeroed memory for count things of size bytes. */
void *mem_new(size_t count, size_t size);
/* Room for at least `count` things; what is new is not zeroed. *capacity is in things. */
void *mem_grow(void *memory, size_t *capacity, size_t count, size_t size);
void *mem_copy(const void *memory, size_t size);
char *mem_string(const char *text);
/* NULL stays NULL. */
char *mem_string_or_null(const char *text);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *mem_vformat(const char *format, va_list arguments);

static inline void mem_free_pointer(void *pointer)
{
	void **at = pointer;

	free(*at);
	*at = NULL;
}

static inline void mem_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
