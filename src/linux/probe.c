/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>

/* TCX, by which the programs sit on the node's devices. */
#define PROBE_KERNEL_MAJOR 6
#define PROBE_KERNEL_MINOR 6

/* 0..65535 at *text, which is moved behind it; -1: no digit. */
static long probe_number(const char **text)
{
	long number = -1;

	for (; **text >= '0' && **text <= '9'; (*text)++) {
		number = (number < 0 ? 0 : number) * 10 + (**text - '0');
		if (number > 0xffff)
			return -1;
	}
	return number;
}

int probe_kernel_release(const char *release, struct err *err)
{
	const char *at = release;
	long major = probe_number(&at), minor = -1;

	if (major >= 0 && *at++ == '.')
		minor = probe_number(&at);
	if (minor < 0)
		return err_set(err, ENOTSUP,
			"the kernel's release \"%s\" cannot be read; podwire needs Linux %d.%d or "
			"later",
			release, PROBE_KERNEL_MAJOR, PROBE_KERNEL_MINOR);
	if (major > PROBE_KERNEL_MAJOR ||
		(major == PROBE_KERNEL_MAJOR && minor >= PROBE_KERNEL_MINOR))
		return 0;
	return err_set(err, ENOTSUP,
		"podwire needs Linux %d.%d or later, and this machine runs %s (on Debian 12, "
		"linux-image-amd64 of bookworm-backports is later)",
		PROBE_KERNEL_MAJOR, PROBE_KERNEL_MINOR, release);
}

int probe_kernel(struct err *err)
{
	struct utsname name;

	if (uname(&name) < 0)
		return err_system(err, errno, "asking for the kernel's release");
	return probe_kernel_release(name.release, err);
}
