/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library to be preloaded: the allocation of the number in the file ALLOCATION_FILE fails, once or
 * from then on. The file holds what follows as it stands, so that a test reads and sets it while
 * the process runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct shared {
	uint64_t count; /* of allocations up to now */
	uint64_t fail; /* the number of the one that fails; 0: none */
	uint64_t go_on; /* not 0: all after it fail, too */
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

static struct shared *shared;

__attribute__((constructor)) static void allocation_start(void)
{
	const char *path = getenv("ALLOCATION_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *memory =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		_exit(99);
	close(fd);
	shared = memory;
}

static bool allocation_fails(void)
{
	uint64_t number;

	if (!shared)
		return false;
	number = __atomic_add_fetch(&shared->count, 1, __ATOMIC_RELAXED);
	if (!shared->fail || number < shared->fail || (number > shared->fail && !shared->go_on))
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return allocation_fails() ? NULL : __libc_realloc(memory, size);
}
