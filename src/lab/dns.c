/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/dns.h"

#include "base/json.h"
#include "base/text.h"
#include "lab/cgroups.h"
#include "lab/exec.h"
#include "lab/jobs.h"
#include "lab/plan.h"
#include "lab/processes.h"
#include "lab/services.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define ZONE "cluster.local"

/* "10.244.1.5" as "10-244-1-5": names of pods that have none of their own. */
static char *address_dashed(const char *address)
{
	char *dashed = mem_string(address);

	for (char *c = dashed; *c; c++)
		if (*c == '.' || *c == ':')
			*c = '-';
	return dashed;
}

/* Names of one endpoint of a headless Service; its own first, which a reverse look-up gives. */
static void endpoint_write(struct text *hosts, struct text *conf, const json_t *service,
	const json_t *slice, const json_t *endpoint)
{
	const char *address = json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
	const char *hostname = tree_text(endpoint, "hostname");
	_free_ char *dashed = NULL, *domain = NULL;
	json_t *port;
	size_t index;

	if (!address || json_is_false(tree_at(endpoint, "conditions.ready")))
		return;
	dashed = address_dashed(address);
	domain = mem_format("%s.%s.svc." ZONE, tree_name(service), tree_namespace(service));
	text_printf(hosts, "%s %s.%s %s\n", address, *hostname ? hostname : dashed, domain, domain);
	/* SRV names the target, not its address: once for the slices of both families. */
	json_array_foreach(json_object_get(slice, "ports"), index, port)
	{
		_free_ char *line = mem_format("srv-host=_%s._%s.%s,%s.%s,%lld\n",
			tree_text(port, "name"),
			strcmp(tree_text(port, "protocol"), "UDP") == 0 ? "udp" : "tcp", domain,
			*hostname ? hostname : dashed, domain,
			(long long)json_integer_value(json_object_get(port, "port")));

		if (*tree_text(port, "name") && !strstr(text_string(conf), line))
			text_append(conf, line);
	}
}

static void headless_write(
	const struct lab *lab, const json_t *service, struct text *hosts, struct text *conf)
{
	_json_ json_t *slices = lab_list(lab, LAB_ENDPOINT_SLICE);
	json_t *slice, *endpoint;
	size_t i, j;

	json_array_foreach(slices, i, slice)
	{
		json_t *name = json_object_get(
			tree_at(slice, "metadata.labels"), "kubernetes.io/service-name");

		if (!name || strcmp(json_string_value(name), tree_name(service)) != 0 ||
			strcmp(tree_namespace(slice), tree_namespace(service)) != 0)
			continue;
		json_array_foreach(json_object_get(slice, "endpoints"), j, endpoint)
		{
			endpoint_write(hosts, conf, service, slice, endpoint);
		}
	}
}

static void service_write(
	const struct lab *lab, const json_t *service, struct text *hosts, struct text *conf)
{
	const char *name = tree_name(service), *name_space = tree_namespace(service);
	const char *external = tree_text(service, "spec.externalName");
	json_t *port;
	size_t index;

	if (strcmp(tree_text(service, "spec.type"), "ExternalName") == 0) {
		text_printf(conf, "cname=%s.%s.svc." ZONE ",%s\n", name, name_space, external);
		return;
	}
	if (service_is_headless(service)) {
		headless_write(lab, service, hosts, conf);
		return;
	}
	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++)
		if (*service_address(service, f))
			text_printf(hosts, "%s %s.%s.svc." ZONE "\n", service_address(service, f),
				name, name_space);
	json_array_foreach(tree_at(service, "spec.ports"), index, port)
	{
		if (*tree_text(port, "name"))
			text_printf(conf, "srv-host=_%s._%s.%s.%s.svc." ZONE ",%s.%s.svc." ZONE ",%lld\n",
				tree_text(port, "name"),
				strcmp(tree_text(port, "protocol"), "UDP") == 0 ? "udp" : "tcp",
				name, name_space, name, name_space,
				(long long)json_integer_value(json_object_get(port, "port")));
	}
}

static void pods_write(const struct lab *lab, struct text *hosts)
{
	_json_ json_t *pods = lab_list(lab, LAB_POD);
	json_t *pod, *address;
	size_t i, j;

	json_array_foreach(pods, i, pod)
	{
		if (json_is_true(tree_at(pod, "spec.hostNetwork")))
			continue;
		json_array_foreach(tree_at(pod, "status.podIPs"), j, address)
		{
			_free_ char *dashed = address_dashed(tree_text(address, "ip"));

			text_printf(hosts, "%s %s.%s.pod." ZONE "\n", tree_text(address, "ip"), dashed,
				tree_namespace(pod));
		}
	}
}

static char *listen_addresses(const struct lab *lab, const char *prefix, const char *suffix)
{
	_text_ struct text list = {0};

	for (enum family f = FAMILY_IPV4; f < FAMILY_MAX; f++) {
		_free_ char *address = plan_service_address(f, PLAN_SERVICE_DNS);

		if (lab->settings.pod_families[f])
			text_printf(&list, "%s%s%s", prefix, address, suffix);
	}
	return text_take(&list);
}

/* In the node's namespace. */
static _Noreturn void resolver_run(const struct lab *lab, const char *node)
{
	_free_ char *directory = lab_node_directory(lab, node);
	_free_ char *conf = mem_format("--conf-file=%s/dns/conf", lab->directory);
	_free_ char *log = mem_format("--log-facility=%s/resolver.log", directory);
	static const char *const programs[] = {"/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq"};

	process_detach(-1);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		execl(programs[i], "dnsmasq", "--keep-in-foreground", conf, log, NULL);
	_exit(127);
}

/* True once the resolver takes connections. In the node's namespace. */
static bool resolver_wait(const struct lab *lab)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	bool is_v4 = plan_primary(&lab->settings) == FAMILY_IPV4;
	_free_ char *address =
		plan_service_address(plan_primary(&lab->settings), PLAN_SERVICE_DNS);

	inet_pton(is_v4 ? AF_INET : AF_INET6, address,
		is_v4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr);
	for (unsigned int tries = 0; tries < 400; tries++) {
		_close_ int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
			    is_v4 ? sizeof(v4) : sizeof(v6)) == 0)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
	}
	return false;
}

struct starts {
	struct lab *lab;
	const json_t *nodes;
	struct err *err;
};

static json_t *resolver_start(void *context, size_t index)
{
	const struct starts *starts = context;
	const struct lab *lab = starts->lab;
	const char *node = tree_name(json_array_get(starts->nodes, index));
	_free_ char *path = lab_namespace_path(lab, node);
	struct process process;
	struct err err;

	cgroup_enter(lab, node, NULL);
	if (namespace_enter(path, &err) < 0)
		return job_error("%s", err.text);
	process.pid = process_fork_orphan();
	if (process.pid == 0)
		resolver_run(lab, node);
	process.start = process_start_time(process.pid);
	if (!resolver_wait(lab))
		return job_error("dnsmasq does not answer on node %s; is the package dnsmasq-base "
				 "installed?",
			node);
	return process_save(&process);
}

static void resolver_started(void *context, size_t index, const json_t *answer)
{
	struct starts *starts = context;
	const char *node = tree_name(json_array_get(starts->nodes, index));
	const char *error = job_error_text(answer);

	if (error)
		err_set(starts->err, EIO, "%s", error);
	else
		json_object_set(tree_child(tree_child(starts->lab->runtime, "nodes"), node), "resolver",
			(json_t *)answer);
}

static struct process resolver_of(const struct lab *lab, const json_t *node)
{
	return process_load(json_object_get(
		json_object_get(json_object_get(lab->runtime, "nodes"), tree_name(node)),
		"resolver"));
}

/* Starts what does not run, and anew what has to read dns/conf again. */
static int resolvers_start(struct lab *lab, bool anew, struct err *err)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE), *idle = json_array();
	struct starts starts = {.lab = lab, .nodes = idle, .err = err};
	json_t *node;
	size_t index;

	json_array_foreach(nodes, index, node)
	{
		struct process resolver = resolver_of(lab, node);

		if (anew && process_lives(&resolver)) {
			process_kill(&resolver);
			while (process_lives(&resolver))
				nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
		}
		if (!process_lives(&resolver))
			json_array_append(idle, node);
	}
	err->code = 0;
	jobs_run(json_array_size(idle), JOBS_WIDTH, resolver_start, resolver_started, &starts);
	return -err->code;
}

static void resolvers_reload(const struct lab *lab)
{
	_json_ json_t *nodes = lab_list(lab, LAB_NODE);
	json_t *node;
	size_t index;

	json_array_foreach(nodes, index, node)
	{
		struct process resolver = resolver_of(lab, node);

		if (process_lives(&resolver))
			kill(resolver.pid, SIGHUP);
	}
}

static bool file_differs(const char *path, const char *text)
{
	_free_ char *old = file_read(path);

	return !old || strcmp(old, text) != 0;
}

int dns_refresh(struct lab *lab, struct err *err)
{
	_free_ char *hosts_path = lab_path(lab, "dns/hosts"), *conf_path = lab_path(lab, "dns/conf");
	_free_ char *listen = listen_addresses(lab, "listen-address=", "\n");
	_json_ json_t *services = lab_list(lab, LAB_SERVICE);
	_text_ struct text hosts = {0}, conf = {0};
	bool has_new_hosts, has_new_conf;
	json_t *service;
	size_t index;

	/* No cache and a TTL of a second: what changes is seen at once. Other zones are nobody's. */
	text_printf(&conf,
		"no-hosts\nno-resolv\nno-poll\nbind-interfaces\npid-file\ncache-size=0\n"
		"local-ttl=1\nlocal=/" ZONE "/\nlocal=/in-addr.arpa/\nlocal=/ip6.arpa/\n"
		"address=/#/\naddn-hosts=%s\n%s",
		hosts_path, listen);
	json_array_foreach(services, index, service)
	{
		service_write(lab, service, &hosts, &conf);
	}
	pods_write(lab, &hosts);
	has_new_hosts = file_differs(hosts_path, text_string(&hosts));
	has_new_conf = file_differs(conf_path, text_string(&conf));
	if (file_write(hosts_path, text_string(&hosts), 0644, err) < 0 ||
		file_write(conf_path, text_string(&conf), 0644, err) < 0 ||
		resolvers_start(lab, has_new_conf, err) < 0)
		return -err->code;
	if (has_new_hosts)
		resolvers_reload(lab);
	return 0;
}

char *dns_resolv_conf(const struct lab *lab, const json_t *pod)
{
	const char *policy = tree_text(pod, "spec.dnsPolicy");
	bool host_network = json_is_true(tree_at(pod, "spec.hostNetwork"));
	bool is_own = strcmp(policy, "None") == 0;
	json_t *config = tree_at(pod, "spec.dnsConfig"), *value;
	_text_ struct text text = {0}, search = {0};
	size_t index;

	if (strcmp(policy, "Default") == 0 ||
		(host_network && strcmp(policy, "ClusterFirstWithHostNet") != 0))
		return NULL;
	if (!is_own) {
		_free_ char *servers = listen_addresses(lab, "nameserver ", "\n");

		text_append(&text, servers);
		text_printf(&search, " %s.svc." ZONE " svc." ZONE " " ZONE, tree_namespace(pod));
	}
	json_array_foreach(json_object_get(config, "nameservers"), index, value)
	{
		text_printf(&text, "nameserver %s\n", json_string_value(value));
	}
	json_array_foreach(json_object_get(config, "searches"), index, value)
	{
		text_printf(&search, " %s", json_string_value(value));
	}
	if (search.length > 0)
		text_printf(&text, "search%s\n", text_string(&search));
	if (!is_own)
		text_append(&text, "options ndots:5\n");
	json_array_foreach(json_object_get(config, "options"), index, value)
	{
		const char *given = tree_text(value, "value");

		text_printf(&text, "options %s%s%s\n", tree_text(value, "name"), *given ? ":" : "",
			given);
	}
	return text_take(&text);
}

char *dns_hosts_file(const json_t *pod)
{
	const char *hostname = tree_text(pod, "spec.hostname");
	json_t *address, *alias, *name;
	_text_ struct text text = {0};
	size_t i, j;

	if (json_is_true(tree_at(pod, "spec.hostNetwork")))
		return NULL;
	text_append(&text, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
	json_array_foreach(tree_at(pod, "status.podIPs"), i, address)
	{
		text_printf(&text, "%s %s\n", tree_text(address, "ip"),
			*hostname ? hostname : tree_name(pod));
	}
	json_array_foreach(tree_at(pod, "spec.hostAliases"), i, alias)
	{
		text_append(&text, tree_text(alias, "ip"));
		json_array_foreach(json_object_get(alias, "hostnames"), j, name)
		{
			text_printf(&text, " %s", json_string_value(name));
		}
		text_append(&text, "\n");
	}
	return text_take(&text);
}
