/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/converge.h"

#include "base/mem.h"
#include "lab/dns.h"
#include "lab/fabric.h"
#include "lab/jobs.h"
#include "lab/nodes.h"
#include "lab/plan.h"
#include "lab/pods.h"
#include "lab/services.h"
#include "lab/slices.h"
#include "lab/spread.h"
#include "lab/workload.h"

#include <errno.h>

struct ground {
	const struct lab *lab;
	struct err *err;
};

/* In a child. */
static json_t *ground_work(void *context, size_t index)
{
	const struct ground *ground = context;
	_free_ char *v4 = plan_node_address(FAMILY_IPV4, 1, PLAN_HOST_OUTSIDE);
	_free_ char *v6 = plan_node_address(FAMILY_IPV6, 1, PLAN_HOST_OUTSIDE);
	const bool *families = ground->lab->settings.node_families;
	const char *addresses[FAMILY_MAX] = {
		[FAMILY_IPV4] = families[FAMILY_IPV4] ? v4 : "",
		[FAMILY_IPV6] = families[FAMILY_IPV6] ? v6 : "",
	};
	struct err err;

	(void)index;
	if (fabric_make(ground->lab, &err) < 0 ||
		fabric_join(ground->lab, LAB_OUTSIDE, 1, addresses, &err) < 0)
		return job_error("the lab's network: %s", err.text);
	return json_true();
}

static json_t *routes_work(void *context, size_t index)
{
	const struct ground *ground = context;
	struct err err;

	(void)index;
	if (fabric_routes(ground->lab, &err) < 0)
		return job_error("the router's routes: %s", err.text);
	return json_true();
}

static void ground_done(void *context, size_t index, const json_t *answer)
{
	struct ground *ground = context;
	const char *error = job_error_text(answer);

	(void)index;
	if (error)
		err_set(ground->err, EIO, "%s", error);
}

static int ground_run(const struct lab *lab, job_work *work, struct err *err)
{
	struct ground ground = {.lab = lab, .err = err};

	err->code = 0;
	jobs_run(1, 1, work, ground_done, &ground);
	return -err->code;
}

int lab_ground(const struct lab *lab, struct err *err)
{
	return ground_run(lab, ground_work, err);
}

/* The objects alone; no kernel, no process. */
static int objects_complete(struct lab *lab, struct err *err)
{
	if (plan_nodes(lab, err) < 0)
		return -err->code;
	workloads_sync(lab);
	pods_spread(lab);
	return services_complete(lab, err);
}

static int machinery_converge(struct lab *lab, struct err *err)
{
	struct err pods = {0};

	if (lab_publish(lab, PUBLISH_ADD, err) < 0 || nodes_sync(lab, err) < 0 ||
		ground_run(lab, routes_work, err) < 0 ||
		pods_stop(lab, PODS_IN_THE_WAY, err) < 0)
		return -err->code;
	pods_start(lab, &pods);
	pods_host_addresses(lab);
	workloads_count(lab);
	slices_sync(lab);
	if (lab_publish(lab, PUBLISH_ADD, err) < 0 || dns_refresh(lab, err) < 0 ||
		pods_stop(lab, PODS_GONE, err) < 0 || nodes_prune(lab, err) < 0 ||
		lab_publish(lab, PUBLISH_ALL, err) < 0)
		return -err->code;
	if (pods.code)
		*err = pods;
	return -pods.code;
}

int lab_converge(struct lab *lab, struct err *err)
{
	struct err saving;
	int r;

	lab_progress(lab, "beginning");
	if (objects_complete(lab, err) < 0)
		return -err->code;
	/* Saved in any case: what was started must be known to the next command. */
	r = machinery_converge(lab, err);
	if (lab_save(lab, &saving) < 0 && r == 0) {
		*err = saving;
		r = -saving.code;
	}
	return r;
}
