/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/exec.h"

#include "base/mem.h"
#include "lab/cgroups.h"
#include "lab/dns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

int namespace_enter(const char *path, struct err *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return err_system(err, errno, "enter the network namespace %s", path);
	return 0;
}

int party_enter(const struct lab *lab, const struct party *party, struct err *err)
{
	_free_ char *path = party_namespace(lab, party), *pod = NULL;

	if (party->kind == PARTY_POD) {
		pod = cgroup_pod_name(tree_namespace(party->object), tree_name(party->object));
		cgroup_enter(lab, tree_text(party->object, "spec.nodeName"), pod);
	} else if (party->kind == PARTY_NODE) {
		cgroup_enter(lab, party->title, NULL);
	}
	return namespace_enter(path, err);
}

/* Lays a file of this content over `target`, for this mount namespace only. */
static int file_cover(const struct lab *lab, const char *target, const char *text, struct err *err)
{
	_free_ char *path = lab_path(lab, "etc%s", strrchr(target, '/'));

	if (access(target, F_OK) < 0)
		return 0; /* nothing reads it on this machine */
	if (file_write(path, text, 0644, err) < 0)
		return -err->code;
	if (mount(path, target, NULL, MS_BIND, NULL) < 0)
		return err_system(err, errno, "mount over %s", target);
	return 0;
}

static int pod_files_cover(const struct lab *lab, const json_t *pod, struct err *err)
{
	_free_ char *etc = lab_path(lab, "etc"), *resolv = dns_resolv_conf(lab, pod);
	_free_ char *hosts = dns_hosts_file(pod);

	if (unshare(CLONE_NEWNS) < 0)
		return err_system(err, errno, "make a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
		mount("tmpfs", etc, "tmpfs", 0, "size=64k,mode=755") < 0)
		return err_system(err, errno, "mount %s", etc);
	if (resolv && file_cover(lab, "/etc/resolv.conf", resolv, err) < 0)
		return -err->code;
	return hosts ? file_cover(lab, "/etc/hosts", hosts, err) : 0;
}

static const char *host_name(const struct party *party)
{
	const char *given = tree_text(party->object, "spec.hostname");

	if (party->kind != PARTY_POD)
		return party->title;
	if (json_is_true(tree_at(party->object, "spec.hostNetwork")))
		return tree_text(party->object, "spec.nodeName");
	return *given ? given : tree_name(party->object);
}

int party_exec(const struct lab *lab, const struct party *party, char **argv, struct err *err)
{
	const char *name = host_name(party);

	if (party->kind == PARTY_POD && !tree_at(party->object, "status.podIPs"))
		return err_set(err, ENONET, "Pod %s has no network: %s", party->title,
			*tree_text(party->object, "status.message")
				? tree_text(party->object, "status.message")
				: "it is on no node");
	if (party_enter(lab, party, err) < 0)
		return -err->code;
	if (unshare(CLONE_NEWUTS) < 0 || sethostname(name, strnlen(name, 64)) < 0)
		return err_system(err, errno, "set the host name");
	if (party->kind == PARTY_POD && pod_files_cover(lab, party->object, err) < 0)
		return -err->code;
	execvp(argv[0], argv);
	return err_system(err, errno, "%s", argv[0]);
}
