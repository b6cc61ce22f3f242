/* SPDX-License-Identifier: Apache-2.0 */
#include "model/field.h"

#include "base/text.h"
#include "base/word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How each type of value is read, freed and compared. Text becomes what it means here, once. */

const struct string_rule label_rule = {name_is_label,
	"no DNS label; use at most 63 of a-z 0-9 '-', with a letter or digit at both ends"};
const struct string_rule label_key_rule = {name_is_label_key,
	"no key of a label; use [DNS.NAME/]NAME with at most 63 of A-Z a-z 0-9 '-' '_' '.'"};
const struct string_rule label_value_rule = {
	name_is_label_value, "no value of a label; use at most 63 of A-Z a-z 0-9 '-' '_' '.'"};
const struct string_rule port_name_rule = {
	name_is_port, "no name of a port; use at most 15 of a-z 0-9 '-', one letter among them"};

static const char *string_at(const struct json_at *at)
{
	return json_string_value(at->value);
}

static int string_check(const struct string_rule *rule, const struct json_at *at, struct err *err)
{
	char shown[JSON_SHOW_SIZE];

	if (!rule || rule->holds(string_at(at)))
		return 0;
	return json_error(at, err, "%s is %s", json_show(at->value, shown), rule->wanted);
}

static int string_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	const char *string;
	int r = json_as_string(at, &string, err);

	if (r == 0)
		r = string_check(field->rule, at, err);
	if (r == 0)
		*(char **)value =
			field->flags & FIELD_SHARED ? word_take(string) : mem_string(string);
	return r;
}

static void string_clear(const struct field *field, void *value)
{
	if (field->flags & FIELD_SHARED)
		word_release(value);
	else
		mem_free_pointer(value);
}

static bool strings_are_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool string_equal(const struct field *field, const void *a, const void *b)
{
	return strings_are_equal(*(char *const *)a, *(char *const *)b);
}

static int bool_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	char shown[JSON_SHOW_SIZE];

	if (!json_is_boolean(at->value))
		return json_error(
			at, err, "%s is neither true nor false", json_show(at->value, shown));
	*(bool *)value = json_is_true(at->value);
	return 0;
}

static int present_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	*(bool *)value = true;
	return 0;
}

static bool bool_equal(const struct field *field, const void *a, const void *b)
{
	return *(const bool *)a == *(const bool *)b;
}

/* The part of a second behind the dot, in nanoseconds. */
static const char *fraction_parse(const char *text, long *ret_ns)
{
	long unit = 100000000;

	for (; *text >= '0' && *text <= '9'; text++, unit /= 10)
		*ret_ns += (*text - '0') * unit;
	return text;
}

/* RFC 3339, as the API server writes it. Parts of a second and other zones than UTC are read too. */
static int time_parse(const char *text, struct timespec *ret_time)
{
	unsigned int hours = 0, minutes = 0;
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	long ns = 0;
	char sign = '+';
	int length = 0;
	time_t time;

	if (rest && *rest == '.')
		rest = fraction_parse(rest + 1, &ns);
	if (rest && strcmp(rest, "Z") == 0)
		rest++;
	else if (rest && sscanf(rest, "%c%2u:%2u%n", &sign, &hours, &minutes, &length) == 3 &&
		 (sign == '+' || sign == '-'))
		rest += length;
	else
		rest = NULL;
	if (!rest || *rest)
		return -EINVAL;
	time = timegm(&tm) - (sign == '-' ? -60 : 60) * (time_t)(60 * hours + minutes);
	*ret_time = (struct timespec){.tv_sec = time > 0 ? time : 0, .tv_nsec = ns};
	return 0;
}

static int time_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	char shown[JSON_SHOW_SIZE];
	struct timespec time;

	if (!json_is_string(at->value) || time_parse(string_at(at), &time) < 0)
		return json_error(at, err, "%s is no time; use one such as 2026-01-31T12:00:00Z",
			json_show(at->value, shown));
	*(uint64_t *)value = (uint64_t)time.tv_sec;
	return 0;
}

/* Whoever writes the object may write what he likes there: it takes nothing else away. */
static int map_time_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	const char *text = json_string_value(json_object_get(at->value, field->entry));
	struct timespec time;

	if (text && time_parse(text, &time) == 0 && time.tv_sec < INT64_MAX / 1000000000)
		*(uint64_t *)value = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
	return 0;
}

static bool time_equal(const struct field *field, const void *a, const void *b)
{
	return *(const uint64_t *)a == *(const uint64_t *)b;
}

static int number_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	int64_t number = 0;
	int r = json_as_int(at, field->minimum, field->maximum, &number, err);

	if (r == 0)
		*(uint32_t *)value = (uint32_t)number;
	return r;
}

static bool number_equal(const struct field *field, const void *a, const void *b)
{
	return *(const uint32_t *)a == *(const uint32_t *)b;
}

static int port_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	json_int_t least = field->flags & FIELD_ZERO ? 0 : 1, port = json_integer_value(at->value);
	char shown[JSON_SHOW_SIZE];

	if (!json_is_integer(at->value) || port < least || port > UINT16_MAX)
		return json_error(
			at, err, "%s is no port; use 1 to 65535", json_show(at->value, shown));
	*(uint16_t *)value = (uint16_t)port;
	return 0;
}

static bool port_equal(const struct field *field, const void *a, const void *b)
{
	return *(const uint16_t *)a == *(const uint16_t *)b;
}

static int port_ref_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	struct port_ref *port = value;
	int r;

	if (!json_is_string(at->value))
		return port_read(field, at, &port->number, err);
	r = string_check(&port_name_rule, at, err);
	if (r == 0)
		port->name = mem_string(string_at(at));
	return r;
}

static void port_ref_clear(const struct field *field, void *value)
{
	free(TAKE_PTR(((struct port_ref *)value)->name));
}

static bool port_ref_equal(const struct field *field, const void *a, const void *b)
{
	const struct port_ref *left = a, *right = b;

	return left->number == right->number && strings_are_equal(left->name, right->name);
}

static int addr_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	char shown[JSON_SHOW_SIZE];
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	if (field->flags & FIELD_NONE && strcmp(text, "None") == 0) {
		addr_set_v4(value, 0);
		return 0;
	}
	if (addr_parse(text, value) < 0 ||
		(field->flags & FIELD_NONE && addr_is_unspecified(value)))
		return json_error(at, err, "%s is no IP address; use one like 10.1.2.3 or fd00::1",
			json_show(at->value, shown));
	return 0;
}

static bool addr_values_equal(const struct field *field, const void *a, const void *b)
{
	return addr_equal(a, b);
}

/* loadBalancerSourceRanges may carry spaces; the API server lets them pass. */
static int prefix_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	char shown[JSON_SHOW_SIZE], trimmed[PREFIX_TEXT_SIZE * 2] = "";
	const char *text;
	size_t size;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	text += strspn(text, " \t\r\n");
	for (size = strlen(text); size > 0 && strchr(" \t\r\n", text[size - 1]); size--)
		;
	if (size < sizeof(trimmed))
		memcpy(trimmed, text, size);
	if (prefix_parse(trimmed, value, NULL) < 0)
		return json_error(at, err,
			"%s is no range of addresses; use one like 10.1.0.0/16 or fd00::/64",
			json_show(at->value, shown));
	return 0;
}

static bool prefix_equal(const struct field *field, const void *a, const void *b)
{
	return prefix_compare(a, b) == 0;
}

static int host_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	struct host *host = value;
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r == 0 && addr_parse(text, &host->addr) < 0)
		host->name = mem_string(text);
	return r;
}

static void host_clear(const struct field *field, void *value)
{
	free(TAKE_PTR(((struct host *)value)->name));
}

static bool host_equal(const struct field *field, const void *a, const void *b)
{
	const struct host *left = a, *right = b;

	return addr_equal(&left->addr, &right->addr) && strings_are_equal(left->name, right->name);
}

static int enum_error(const struct enum_names *names, const struct json_at *at, struct err *err)
{
	_text_ struct text wanted = {0};
	char shown[JSON_SHOW_SIZE];
	size_t left = 0;

	for (size_t i = 0; i < names->count; i++)
		left += names->names[i] != NULL;
	for (size_t i = 0; i < names->count; i++) {
		if (!names->names[i])
			continue;
		text_append(&wanted, names->names[i]);
		if (--left > 0)
			text_append(&wanted, left > 1 ? ", " : " or ");
	}
	return json_error(at, err, "%s is no %s; use %s", json_show(at->value, shown), names->what,
		text_string(&wanted));
}

static int enum_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	const struct enum_names *names = field->names;
	const char *text;
	int r = json_as_string(at, &text, err);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < names->count; i++) {
		if (!names->names[i] || strcmp(names->names[i], text) != 0)
			continue;
		memcpy(value, &i, sizeof(i));
		return 0;
	}
	return enum_error(names, at, err);
}
_Static_assert(sizeof(enum protocol) == sizeof(unsigned int), "how enums are stored");

static bool enum_equal(const struct field *field, const void *a, const void *b)
{
	return memcmp(a, b, sizeof(enum protocol)) == 0;
}

static int label_order(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

static int map_read(
	const struct field *field, const struct json_at *at, void *value, struct err *err)
{
	struct labels *labels = value;
	char shown[JSON_SHOW_SIZE];
	const char *key;
	json_t *unused;

	if (!json_is_object(at->value))
		return json_error(at, err, "%s is no object", json_show(at->value, shown));
	labels->list = mem_new(json_object_size(at->value), sizeof(*labels->list));
	json_object_foreach(at->value, key, unused) {
		struct json_at member = json_member(at, key);
		const char *text = "";
		int r = 0;

		/* "key:" without a value is null in YAML, and "" for the API server. */
		if (!json_is_null(member.value))
			r = json_as_string(&member, &text, err);
		if (r == 0 && field->rule && !name_is_label_key(key))
			r = json_error(&member, err, "is %s", label_key_rule.wanted);
		if (r == 0 && *text)
			r = string_check(field->rule, &member, err);
		if (r < 0)
			return r;
		labels->list[labels->count++] =
			(struct label){.key = word_take(key), .value = word_take(text)};
	}
	qsort(labels->list, labels->count, sizeof(*labels->list), label_order);
	return 0;
}

static void map_clear(const struct field *field, void *value)
{
	struct labels *labels = value;

	for (size_t i = 0; i < labels->count; i++) {
		word_release(&labels->list[i].key);
		word_release(&labels->list[i].value);
	}
	free(labels->list);
	*labels = (struct labels){0};
}

static bool map_equal(const struct field *field, const void *a, const void *b)
{
	return labels_equal(a, b);
}

const struct field_operations field_scalar_operations[FIELD_TYPE_MAX] = {
	[FIELD_STRING] = {sizeof(char *), string_read, string_clear, string_equal},
	[FIELD_BOOL] = {sizeof(bool), bool_read, NULL, bool_equal},
	[FIELD_PRESENT] = {sizeof(bool), present_read, NULL, bool_equal},
	[FIELD_TIME] = {sizeof(uint64_t), time_read, NULL, time_equal},
	[FIELD_NUMBER] = {sizeof(uint32_t), number_read, NULL, number_equal},
	[FIELD_PORT] = {sizeof(uint16_t), port_read, NULL, port_equal},
	[FIELD_PORT_REF] = {sizeof(struct port_ref), port_ref_read, port_ref_clear, port_ref_equal},
	[FIELD_ADDR] = {sizeof(struct addr), addr_read, NULL, addr_values_equal},
	[FIELD_PREFIX] = {sizeof(struct prefix), prefix_read, NULL, prefix_equal},
	[FIELD_HOST] = {sizeof(struct host), host_read, host_clear, host_equal},
	[FIELD_ENUM] = {sizeof(enum protocol), enum_read, NULL, enum_equal},
	[FIELD_MAP] = {sizeof(struct labels), map_read, map_clear, map_equal},
	[FIELD_MAP_TIME] = {sizeof(uint64_t), map_time_read, NULL, time_equal},
};
