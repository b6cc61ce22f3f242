/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include "base/text.h"
#include "compile/endpoints.h"

#include <arpa/inet.h>

/*
 * What becomes of each endpoint, and that the lists are made of those that are used, for node
 * "alpha" in zone "a" and port http/TCP.
 */

#define SLICES_MAX 2

static const struct {
	const char *name;
	const char *slices[SLICES_MAX]; /* what stands in each; labels by themselves */
	const char *fates; /* "ADDRESS CLUSTER LOCAL" each */
} cases[] = {
	{"ready", {"endpoints: [{addresses: [$1], nodeName: alpha}, {addresses: [$2], nodeName: beta}]"},
		"$1 used used\n$2 used elsewhere\n"},
	{"not ready",
		{"endpoints: [{addresses: [$1]}, {addresses: [$2], conditions: {ready: false}}]"},
		"$1 used elsewhere\n$2 not-ready elsewhere\n"},
	{"not ready, here",
		{"endpoints: [{addresses: [$1], nodeName: alpha, conditions: {ready: false}}]"},
		"$1 not-ready not-ready\n"},
	{"terminating while another is ready",
		{"endpoints: [{addresses: [$1], nodeName: beta}, {addresses: [$2], nodeName: alpha, "
		 "conditions: {ready: false, serving: true, terminating: true}}]"},
		"$1 used elsewhere\n$2 terminating used\n"},
	{"terminating alone",
		{"endpoints: [{addresses: [$1], nodeName: alpha, "
		 "conditions: {ready: false, serving: true, terminating: true}}]"},
		"$1 used used\n"},
	{"terminating, no longer serving",
		{"endpoints: [{addresses: [$1], nodeName: alpha, "
		 "conditions: {ready: false, serving: false, terminating: true}}]"},
		"$1 not-ready not-ready\n"},
	{"hints for zones",
		{"endpoints: [{addresses: [$1], nodeName: alpha, hints: {forZones: [{name: b}]}}, "
		 "{addresses: [$2], nodeName: beta, hints: {forZones: [{name: a}]}}]"},
		"$1 other-zone used\n$2 used elsewhere\n"},
	{"hints for nodes go before those for zones",
		{"endpoints: [{addresses: [$1], nodeName: alpha, "
		 "hints: {forZones: [{name: b}], forNodes: [{name: alpha}]}}, "
		 "{addresses: [$2], nodeName: beta, "
		 "hints: {forZones: [{name: a}], forNodes: [{name: beta}]}}]"},
		"$1 used used\n$2 other-node elsewhere\n"},
	{"one without a hint ends them for all",
		{"endpoints: [{addresses: [$1], nodeName: alpha, hints: {forZones: [{name: b}]}}, "
		 "{addresses: [$2], nodeName: beta}]"},
		"$1 used used\n$2 used elsewhere\n"},
	{"twice, once terminating",
		{"endpoints: [{addresses: [$1], nodeName: alpha, "
		 "conditions: {ready: false, terminating: true}}]",
			"endpoints: [{addresses: [$1], nodeName: beta}]"},
		"$1 used elsewhere\n$1 duplicate duplicate\n"},
	{"another port", {"endpoints: [{addresses: [$1]}]\nports: [{name: https, port: 8443}]"}, ""},
	{"no endpoints", {"endpoints: []"}, ""},
};

static const struct {
	const char *name, *slice;
	enum endpoint_fate fate;
} slice_cases[] = {
	{"used", "ports: [{name: http, port: 8080}]", ENDPOINT_USED},
	{"another name", "ports: [{name: https, port: 8080}]", ENDPOINT_NO_PORT},
	{"another protocol", "ports: [{name: http, port: 8080, protocol: UDP}]", ENDPOINT_NO_PORT},
	{"no number", "ports: [{name: http}]", ENDPOINT_NO_PORT},
	{"no port", "ports: []", ENDPOINT_NO_PORT},
};

static const char *const families[FAMILY_MAX][3] = {[FAMILY_IPV4] = {"IPv4", "10.0.0.1", "10.0.0.2"},
	[FAMILY_IPV6] = {"IPv6", "fd00::1", "fd00::2"}};

/* With $1 and $2 as addresses of the family. For free(). */
static char *of_family(const char *pattern, enum family family)
{
	struct text text = {0};

	for (const char *at = pattern; *at; at++) {
		if (*at == '$')
			text_printf(&text, "'%s'", families[family][*++at - '0']);
		else
			text_append_bytes(&text, at, 1);
	}
	return text_take(&text);
}

static struct object *slice_of(const char *pattern, enum family family, const char *labels, size_t n)
{
	_free_ char *inner = of_family(pattern, family);
	_free_ char *text = mem_format(
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
		"metadata: {name: web-%zu, labels: {kubernetes.io/service-name: web%s}}\n"
		"addressType: %s\n%s%s\n",
		n, labels, families[family][0],
		strstr(inner, "ports:") ? "" : "ports: [{name: http, port: 8080}]\n", inner);

	return object_of(text);
}

/* The lists are those that are used, in order. */
static void check_list(
	const char *name, const struct candidates *candidates, const struct choice *choice)
{
	for (enum endpoint_list list = 0; list < ENDPOINTS_LISTS; list++) {
		size_t used = 0;

		for (size_t i = 0; i < candidates->count; i++) {
			if (candidates->list[i].fate[list] != ENDPOINT_USED)
				continue;
			check_case(name, used < choice->list[list].count ? "there" : "missing",
				"there");
			assert_memory_equal(&choice->list[list].list[used++],
				&candidates->list[i].backend, sizeof(struct backend_row));
		}
		assert_int_equal(used, choice->list[list].count);
	}
}

static void check_fates(size_t number, enum family family)
{
	struct service_view view = {.node = "alpha", .zone = "a"};
	struct endpoint_wish wish = {family, "http", PROTOCOL_TCP};
	struct object *object[SLICES_MAX] = {NULL};
	const struct endpoint_slice *list[SLICES_MAX];
	struct slices slices = {list, 0};
	struct candidates candidates;
	_text_ struct text text = {0};
	struct choice choice;

	for (; slices.count < SLICES_MAX && cases[number].slices[slices.count]; slices.count++) {
		object[slices.count] = slice_of(
			cases[number].slices[slices.count], family, "", slices.count);
		list[slices.count] = object_endpoint_slice_const(object[slices.count]);
	}
	endpoints_judge(&slices, &wish, &view, &candidates);
	endpoints_choose(&slices, &wish, &view, &choice);
	for (size_t i = 0; i < candidates.count; i++) {
		char address[ADDR_TEXT_SIZE];

		text_printf(&text, "'%s' %s %s\n",
			addr_format(&candidates.list[i].backend.addr, address),
			endpoint_fate_name(candidates.list[i].fate[ENDPOINTS_CLUSTER]),
			endpoint_fate_name(candidates.list[i].fate[ENDPOINTS_LOCAL]));
	}
	{
		_free_ char *wanted = of_family(cases[number].fates, family);

		check_case(cases[number].name, text_string(&text), wanted);
	}
	check_list(cases[number].name, &candidates, &choice);
	candidates_clear(&candidates);
	choice_clear(&choice);
	for (size_t i = 0; i < SLICES_MAX; i++)
		object_free(&object[i]);
}

static void test_fates(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++)
			check_fates(i, family);
}

static void check_slice(const char *name, const char *slice, const char *labels,
	enum family family, enum family wanted, enum endpoint_fate fate)
{
	struct endpoint_wish wish = {wanted, "http", PROTOCOL_TCP};
	_cleanup_(object_free) struct object *object = slice_of(slice, family, labels, 1);

	check_case(name,
		endpoint_fate_name(slice_fate(object_endpoint_slice_const(object), &wish)),
		endpoint_fate_name(fate));
}

static void test_slices(void **state)
{
	static const char foreign[] = ", service.kubernetes.io/headless: ''";
	static const char ports[] = "ports: [{name: http, port: 8080}]";

	for (enum family family = FAMILY_IPV4; family < FAMILY_MAX; family++) {
		enum family other = family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4;

		for (size_t i = 0; i < ARRAY_SIZE(slice_cases); i++)
			check_slice(slice_cases[i].name, slice_cases[i].slice, "", family, family,
				slice_cases[i].fate);
		check_slice("other family", ports, "", family, other, ENDPOINT_OTHER_FAMILY);
		check_slice("foreign", ports, foreign, family, family, ENDPOINT_FOREIGN);
	}
}

/* As many as the list has, by address; the rest is beyond. */
static void test_beyond(void **state)
{
	static const struct endpoint_port port = {.name = (char *)"http", .port = 8080};
	const size_t count = ENDPOINTS_LIST_MAX + 3;
	struct endpoint_slice slice = {
		.object.name = (char *)"web-1", .ports = {(struct endpoint_port *)&port, 1}};
	const struct endpoint_slice *list[] = {&slice};
	struct slices slices = {list, 1};
	struct service_view view = {.node = "alpha"};
	struct endpoint_wish wish = {FAMILY_IPV4, "http", PROTOCOL_TCP};
	_free_ struct endpoint *endpoints = mem_new(count, sizeof(*endpoints));
	struct candidates candidates;
	struct addr first;

	addr_parse("10.128.0.0", &first);
	for (size_t i = 0; i < count; i++) {
		endpoints[i].address.addr = addr_add(&first, i);
		endpoints[i].ready = true;
	}
	slice.endpoints.list = endpoints;
	slice.endpoints.count = count;
	endpoints_judge(&slices, &wish, &view, &candidates);
	assert_int_equal(candidates.count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(candidates.list[i].fate[ENDPOINTS_CLUSTER],
			i < ENDPOINTS_LIST_MAX ? ENDPOINT_USED : ENDPOINT_BEYOND);
	candidates_clear(&candidates);
}

/* Each fate has a name of its own, and a sentence. */
static void test_names(void **state)
{
	for (enum endpoint_fate fate = 0; fate < ENDPOINT_FATE_MAX; fate++) {
		assert_true(*endpoint_fate_text(fate));
		for (enum endpoint_fate other = 0; other < fate; other++)
			assert_string_not_equal(
				endpoint_fate_name(fate), endpoint_fate_name(other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fates),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
