/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked in where the lines that run are counted: counts are written at the end of main(), and here
 * also by a child that ends by _exit() and by what is asked to end and has no answer of its own.
 */
#include <signal.h>

void __gcov_dump(void);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}

static void count_and_end(int signal_number)
{
	__wrap__exit(128 + signal_number);
}

static __attribute__((constructor)) void count_when_asked_to_end(void)
{
	signal(SIGTERM, count_and_end);
}
