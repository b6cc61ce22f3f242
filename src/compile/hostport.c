/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/hostport.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <string.h>

static void plan_host_port_family(struct plan *plan, const struct pod *pod,
	const struct container_port *port, const struct claim *of, enum family family)
{
	const struct addr *addr = pod_address(pod, family);
	struct plan_row planned = {.sources = PLAN_NO_SET, .serving = PLAN_NO_SET};
	struct plan_target target = {.wish = {.family = family, .protocol = port->protocol},
		.port = port->host_port,
		.ready = 1,
		.here = 1,
		.used = 1};
	_free_ char *name = mem_format("%u", port->host_port);
	struct backends backends = {0};
	struct claim claim = *of;
	size_t set;

	if (!addr)
		return;
	target.wish.name = name;
	planned.target = plan_target(plan, &target);
	plan->targets.list[planned.target].wish.name = port->name;
	planned.row.port = plan->targets.list[planned.target].name;
	planned.row.flags = SERVICE_HOST_PORT;
	planned.key = (struct service_key){.addr = port->host_ip,
		.port = htons(port->host_port),
		.protocol = protocol_number(port->protocol),
		.scope = SERVICE_OWN_NODE};
	if (!addr_is_given(&port->host_ip) && family == FAMILY_IPV4)
		addr_set_v4(&planned.key.addr, 0);
	backends_add(&backends, &(struct backend_row){.addr = *addr,
					.port = htons(port->container_port),
					.flags = BACKEND_HERE});
	set = plan_set(plan, &backends);
	free(backends.list);
	for (unsigned int i = 0; i < LIST_MAX; i++)
		planned.list[i] = set;
	if (port->protocol == PROTOCOL_UDP)
		planned.serving = set;
	claim.key = planned.key;
	planned.claim = plan_claim(plan, &claim);
	plan_row(plan, &planned);
}

static void plan_container(struct plan *plan, const struct pod *pod,
	const struct container *container, const struct claim *claim)
{
	for (size_t i = 0; i < container->ports.count; i++) {
		const struct container_port *port = &container->ports.list[i];

		for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
			if (port->host_port && (!addr_is_given(&port->host_ip) ||
						       addr_family(&port->host_ip) == family))
				plan_host_port_family(plan, pod, port, claim, family);
	}
}

static bool containers_have_host_ports(const struct containers *containers)
{
	for (size_t i = 0; i < containers->count; i++)
		for (size_t j = 0; j < containers->list[i].ports.count; j++)
			if (containers->list[i].ports.list[j].host_port)
				return true;
	return false;
}

bool pod_has_host_ports(const struct pod *pod)
{
	return !pod->host_network &&
	       (containers_have_host_ports(&pod->containers) ||
		       containers_have_host_ports(&pod->init_containers));
}

static void plan_containers(struct plan *plan, const struct pod *pod,
	const struct containers *containers, const char *field)
{
	for (size_t i = 0; i < containers->count; i++) {
		struct claim claim = {.rank = CLAIM_HOST_PORT,
			.field = field,
			.index = i,
			.member = ".ports"};

		plan_container(plan, pod, &containers->list[i], &claim);
	}
}

void plan_pod(struct plan *plan, const struct pod *pod, const struct service_view *view)
{
	plan->created = pod->object.created;
	if (!pod->node_name || strcmp(pod->node_name, view->node) != 0 || pod_is_over(pod) ||
		!pod_has_host_ports(pod))
		return;
	plan_containers(plan, pod, &pod->containers, "spec.containers");
	plan_containers(plan, pod, &pod->init_containers, "spec.initContainers");
}
