/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/privilege.h"

#include "base/mem.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define PRIVILEGE_BIT(capability) (UINT64_C(1) << (capability))

const uint64_t privilege_start = PRIVILEGE_BIT(CAP_BPF) | PRIVILEGE_BIT(CAP_NET_ADMIN) |
				 PRIVILEGE_BIT(CAP_PERFMON) | PRIVILEGE_BIT(CAP_SETUID) |
				 PRIVILEGE_BIT(CAP_SETGID) | PRIVILEGE_BIT(CAP_SETPCAP);
const uint64_t privilege_run = PRIVILEGE_BIT(CAP_BPF) | PRIVILEGE_BIT(CAP_NET_ADMIN);

static const char *const privilege_names[] = {
	[CAP_CHOWN] = "CAP_CHOWN",
	[CAP_DAC_OVERRIDE] = "CAP_DAC_OVERRIDE",
	[CAP_DAC_READ_SEARCH] = "CAP_DAC_READ_SEARCH",
	[CAP_FOWNER] = "CAP_FOWNER",
	[CAP_FSETID] = "CAP_FSETID",
	[CAP_KILL] = "CAP_KILL",
	[CAP_SETGID] = "CAP_SETGID",
	[CAP_SETUID] = "CAP_SETUID",
	[CAP_SETPCAP] = "CAP_SETPCAP",
	[CAP_LINUX_IMMUTABLE] = "CAP_LINUX_IMMUTABLE",
	[CAP_NET_BIND_SERVICE] = "CAP_NET_BIND_SERVICE",
	[CAP_NET_BROADCAST] = "CAP_NET_BROADCAST",
	[CAP_NET_ADMIN] = "CAP_NET_ADMIN",
	[CAP_NET_RAW] = "CAP_NET_RAW",
	[CAP_IPC_LOCK] = "CAP_IPC_LOCK",
	[CAP_IPC_OWNER] = "CAP_IPC_OWNER",
	[CAP_SYS_MODULE] = "CAP_SYS_MODULE",
	[CAP_SYS_RAWIO] = "CAP_SYS_RAWIO",
	[CAP_SYS_CHROOT] = "CAP_SYS_CHROOT",
	[CAP_SYS_PTRACE] = "CAP_SYS_PTRACE",
	[CAP_SYS_PACCT] = "CAP_SYS_PACCT",
	[CAP_SYS_ADMIN] = "CAP_SYS_ADMIN",
	[CAP_SYS_BOOT] = "CAP_SYS_BOOT",
	[CAP_SYS_NICE] = "CAP_SYS_NICE",
	[CAP_SYS_RESOURCE] = "CAP_SYS_RESOURCE",
	[CAP_SYS_TIME] = "CAP_SYS_TIME",
	[CAP_SYS_TTY_CONFIG] = "CAP_SYS_TTY_CONFIG",
	[CAP_MKNOD] = "CAP_MKNOD",
	[CAP_LEASE] = "CAP_LEASE",
	[CAP_AUDIT_WRITE] = "CAP_AUDIT_WRITE",
	[CAP_AUDIT_CONTROL] = "CAP_AUDIT_CONTROL",
	[CAP_SETFCAP] = "CAP_SETFCAP",
	[CAP_MAC_OVERRIDE] = "CAP_MAC_OVERRIDE",
	[CAP_MAC_ADMIN] = "CAP_MAC_ADMIN",
	[CAP_SYSLOG] = "CAP_SYSLOG",
	[CAP_WAKE_ALARM] = "CAP_WAKE_ALARM",
	[CAP_BLOCK_SUSPEND] = "CAP_BLOCK_SUSPEND",
	[CAP_AUDIT_READ] = "CAP_AUDIT_READ",
	[CAP_PERFMON] = "CAP_PERFMON",
	[CAP_BPF] = "CAP_BPF",
	[CAP_CHECKPOINT_RESTORE] = "CAP_CHECKPOINT_RESTORE",
};

uint64_t privilege_bit(unsigned int capability)
{
	return PRIVILEGE_BIT(capability);
}

/* The kernel's sets come in two halves of 32. */
static int privilege_get_sets(struct privilege *ret)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	ret->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	ret->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	ret->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int privilege_set_sets(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++) {
		data[i].permitted = (uint32_t)(permitted >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = (uint32_t)(inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int privilege_read(struct privilege *ret_privilege, struct err *err)
{
	struct privilege privilege = {.user = geteuid(), .group = getegid()};
	int r = privilege_get_sets(&privilege);

	if (r < 0)
		return err_system(err, -r, "reading this process's capabilities");
	for (int capability = 0; capability < 64; capability++) {
		if (prctl(PR_CAPBSET_READ, capability) == 1)
			privilege.bounding |= PRIVILEGE_BIT(capability);
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1)
			privilege.ambient |= PRIVILEGE_BIT(capability);
	}
	privilege.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	*ret_privilege = privilege;
	return 0;
}

int privilege_check(uint64_t needed, struct err *err)
{
	_text_ struct text missing = {0};
	struct privilege privilege;
	int r = privilege_read(&privilege, err);

	if (r < 0)
		return r;
	if ((privilege.effective & needed) == needed)
		return 0;
	privilege_format_set(needed & ~privilege.effective, &missing);
	return err_set(err, EPERM, "%s missing; start it as root, or with these capabilities",
		text_string(&missing));
}

/* A dropped capability cannot be raised again; those that the kernel does not know are EINVAL. */
static int privilege_drop_bounding(uint64_t keep, struct err *err)
{
	for (int capability = 0; capability < 64; capability++) {
		if (keep & PRIVILEGE_BIT(capability) || prctl(PR_CAPBSET_READ, capability) != 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return err_system(err, errno,
				"dropping capability %d from the bounding set", capability);
	}
	return 0;
}

static int privilege_become(unsigned int user, unsigned int group, struct err *err)
{
	/* Else the change of user would clear the permitted set. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_system(err, errno, "keeping capabilities");
	if (setgroups(0, NULL) < 0)
		return err_system(err, errno, "dropping the supplementary groups");
	if (setresgid(group, group, group) < 0)
		return err_system(err, errno, "becoming group %u", group);
	if (setresuid(user, user, user) < 0)
		return err_system(err, errno, "becoming user %u", user);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return err_system(err, errno, "keeping capabilities no longer");
	return 0;
}

static int privilege_verify(unsigned int user, unsigned int group, struct err *err)
{
	_text_ struct text found = {0};
	struct privilege p;
	int r = privilege_read(&p, err);

	if (r < 0)
		return r;
	if (p.user == user && p.group == group && getuid() == user && getgid() == group &&
		p.permitted == privilege_run && p.effective == privilege_run &&
		p.inheritable == 0 && p.ambient == 0 && p.no_new_privileges &&
		(p.bounding & ~PRIVILEGE_BIT(CAP_NET_ADMIN)) == 0 && getgroups(0, NULL) == 0)
		return 0;
	privilege_format(&p, &found);
	return err_set(err, EPERM, "the privileges were not dropped as they should: %s",
		text_string(&found));
}

int privilege_drop(unsigned int user, unsigned int group, struct err *err)
{
	int r = privilege_drop_bounding(PRIVILEGE_BIT(CAP_NET_ADMIN), err);

	if (r == 0)
		r = privilege_become(user, group, err);
	if (r < 0)
		return r;
	r = privilege_set_sets(privilege_run, 0); /* ambient ones go with the inheritable */
	if (r < 0)
		return err_system(err, -r, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_system(err, errno, "setting no_new_privs");
	return privilege_verify(user, group, err);
}

void privilege_format_set(uint64_t set, struct text *text)
{
	const char *space = "";

	if (!set)
		text_append(text, "none");
	for (unsigned int capability = 0; capability < 64; capability++) {
		if (!(set & PRIVILEGE_BIT(capability)))
			continue;
		if (capability < ARRAY_SIZE(privilege_names))
			text_printf(text, "%s%s", space, privilege_names[capability]);
		else
			text_printf(text, "%scapability %u", space, capability);
		space = " ";
	}
}

void privilege_format(const struct privilege *privilege, struct text *text)
{
	text_printf(text, "uid %u, gid %u, ", privilege->user, privilege->group);
	privilege_format_set(privilege->effective, text);
	if (privilege->no_new_privileges)
		text_append(text, ", no new privileges");
}
