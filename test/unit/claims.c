/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "base/text.h"
#include "compile/claims.h"
#include "net/addr.h"

#include <arpa/inet.h>

/* Owners 0 to 3, who claim one thing each; who has it is written down as their numbers. */

#define OWNERS 4

struct scene {
	struct claims claims;
	struct claimant claimant[OWNERS];
	struct plan plan[OWNERS];
	struct owners affected;
};

static int scene_open(void **state)
{
	static const char *const names[OWNERS] = {"Service a/a", "Service a/b", "Service b/a", "Pod a/a"};
	struct scene *scene = mem_new(1, sizeof(*scene));

	for (size_t i = 0; i < OWNERS; i++) {
		scene->claimant[i] = (struct claimant){.name = names[i], .first = CLAIMS_NONE};
		scene->plan[i].created = 100;
	}
	*state = scene;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;

	for (size_t i = 0; i < OWNERS; i++)
		plan_clear(&scene->plan[i]);
	claims_clear(&scene->claims);
	free(scene->affected.list);
	free(scene);
	return 0;
}

/* Port 0: the address itself. */
static void want(struct scene *scene, unsigned int owner, enum claim_rank rank, const char *address,
	uint16_t port)
{
	struct claim claim = {.rank = rank,
		.key = {.port = htons(port), .protocol = port ? 6 : 0}};

	addr_parse(address, &claim.key.addr);
	if (rank == CLAIM_NODE_PORT || rank == CLAIM_HOST_PORT)
		claim.key.scope = SERVICE_OWN_NODE;
	plan_claim(&scene->plan[owner], &claim);
}

/* Whom it concerns besides the owner: "1 2 ". */
static void check_set(struct scene *scene, unsigned int owner, const char *wanted)
{
	_text_ struct text text = {0};

	scene->affected.count = 0;
	claims_set(&scene->claims, scene->claimant, owner, &scene->plan[owner], &scene->affected);
	for (uint32_t i = 0; i < OWNERS; i++)
		for (size_t j = 0; j < scene->affected.count; j++)
			if (scene->affected.list[j] == i) {
				text_printf(&text, "%u ", i);
				break;
			}
	check_case(scene->claimant[owner].name, text_string(&text), wanted);
}

/* Which of its claims each owner has: "1 00 ". */
static void check_won(struct scene *scene, const char *wanted)
{
	_text_ struct text text = {0};

	for (uint32_t i = 0; i < OWNERS; i++) {
		struct plan *plan = &scene->plan[i];

		claims_decide(&scene->claims, scene->claimant, i, plan);
		for (size_t j = 0; j < plan->claims.count; j++)
			text_append(&text, plan->claims.list[j].won ? "1" : "0");
		text_append(&text, i + 1 < OWNERS ? " " : "");
	}
	check_case("won", text_string(&text), wanted);
}

/* Why the owner's first claim is not its own. */
static void check_lost(struct scene *scene, uint32_t owner, enum claim_rule rule)
{
	const struct claim *claim = &scene->plan[owner].claims.list[0];

	assert_int_not_equal(claims_holder(&scene->claims, scene->claimant, claim), owner);
	assert_int_equal(claims_rule(&scene->claims, scene->claimant, claim, owner), rule);
}

static void drop(struct scene *scene, unsigned int owner)
{
	scene->plan[owner].claims.count = 0;
}

static void test_rank_age_name(void **state)
{
	struct scene *scene = *state;

	want(scene, 1, CLAIM_EXTERNAL, "192.0.2.1", 80);
	check_set(scene, 1, "");
	check_won(scene, " 1  ");
	want(scene, 2, CLAIM_LOAD_BALANCER, "192.0.2.1", 80);
	check_set(scene, 2, "1 "); /* the better rank */
	check_won(scene, " 0 1 ");
	check_lost(scene, 1, CLAIM_BY_RANK);
	want(scene, 0, CLAIM_LOAD_BALANCER, "192.0.2.1", 80);
	check_set(scene, 0, "1 2 "); /* the first by name */
	check_won(scene, "1 0 0 ");
	check_lost(scene, 2, CLAIM_BY_NAME);
	scene->plan[2].created = 99;
	check_set(scene, 2, "0 1 "); /* the older */
	check_won(scene, "0 0 1 ");
	check_lost(scene, 0, CLAIM_BY_AGE);
	drop(scene, 2);
	check_set(scene, 2, "0 1 ");
	check_won(scene, "1 0  ");
	check_set(scene, 2, ""); /* nothing has changed */
	drop(scene, 1);
	check_set(scene, 1, ""); /* it had nothing that others wanted */
}

/* A cluster address is one with all its ports; an address of load balancers is shared. */
static void test_addresses(void **state)
{
	struct scene *scene = *state;

	want(scene, 0, CLAIM_LOAD_BALANCER, "192.0.2.1", 0);
	want(scene, 0, CLAIM_LOAD_BALANCER, "192.0.2.1", 80);
	want(scene, 1, CLAIM_LOAD_BALANCER, "192.0.2.1", 0);
	want(scene, 1, CLAIM_LOAD_BALANCER, "192.0.2.1", 443);
	check_set(scene, 0, "");
	check_set(scene, 1, "");
	check_won(scene, "11 01  ");
	want(scene, 2, CLAIM_CLUSTER, "192.0.2.1", 0);
	check_set(scene, 2, "0 1 ");
	check_won(scene, "00 00 1 ");
	check_lost(scene, 0, CLAIM_BY_RANK); /* its gate is another's */
	drop(scene, 2);
	check_set(scene, 2, "0 1 ");
	check_won(scene, "11 01  ");
}

/* A node port is on every address; host ports on different addresses do not meet. */
static void test_host_ports(void **state)
{
	struct scene *scene = *state;

	want(scene, 3, CLAIM_HOST_PORT, "10.0.0.1", 80);
	want(scene, 3, CLAIM_HOST_PORT, "127.0.0.1", 80);
	want(scene, 3, CLAIM_HOST_PORT, "0.0.0.0", 81);
	want(scene, 3, CLAIM_HOST_PORT, "::1", 80);
	check_set(scene, 3, "");
	check_won(scene, "   1111");
	want(scene, 0, CLAIM_NODE_PORT, "0.0.0.0", 80);
	check_set(scene, 0, "3 ");
	check_won(scene, "1   0011");
	want(scene, 1, CLAIM_HOST_PORT, "0.0.0.0", 80); /* behind the node port, before nobody */
	check_set(scene, 1, "");
	check_won(scene, "1 0  0011");
	drop(scene, 0);
	check_set(scene, 0, "1 3 ");
	check_won(scene, " 1  1111");
}

/* Names of sets are claimed too, and one owner may want a thing in two ways. */
static void test_sets_and_twice(void **state)
{
	struct scene *scene = *state;
	struct claim claim = {.rank = CLAIM_SET, .key = {.scope = SERVICE_SCOPE_MAX}};

	claim.key.addr.halves[0] = 7;
	plan_claim(&scene->plan[1], &claim);
	plan_claim(&scene->plan[0], &claim);
	want(scene, 2, CLAIM_LOAD_BALANCER, "192.0.2.1", 80);
	want(scene, 2, CLAIM_EXTERNAL, "192.0.2.1", 80);
	check_set(scene, 1, "");
	check_set(scene, 0, "1 ");
	check_set(scene, 2, "");
	check_won(scene, "1 0 10 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rank_age_name, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_addresses, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_host_ports, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(test_sets_and_twice, scene_open, scene_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
