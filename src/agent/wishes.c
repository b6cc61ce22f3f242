/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/wishes.h"

#include "base/json.h"
#include "base/mem.h"
#include "net/prefix.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

int cni_network_read(const struct cni_request *request, char network[ATTACHMENT_NETWORK_SIZE],
	struct cni_error *error)
{
	struct json_at root = json_root(request->config);
	const char *name = NULL;

	error->code = CNI_INVALID_CONFIG;
	if (json_get_string(&root, "name", JSON_REQUIRED, &name, &error->reason) < 0)
		return -EINVAL;
	if (!strspn(name, ALPHANUMERIC) || strspn(name, ALPHANUMERIC "_.-") != strlen(name) ||
		strlen(name) >= ATTACHMENT_NETWORK_SIZE)
		return err_set(&error->reason, EINVAL,
			"name: must begin with a letter or digit, and have 1 to %d letters, "
			"digits, '_', '.' and '-'",
			ATTACHMENT_NETWORK_SIZE - 1);
	snprintf(network, ATTACHMENT_NETWORK_SIZE, "%s", name);
	return 0;
}

/* An address with or without the length of a prefix behind it, which is passed over. */
static int wish_parse_address(const char *text, struct addr *ret_addr)
{
	size_t length = strcspn(text, "/");
	char only[ADDR_TEXT_SIZE];
	struct prefix prefix;

	if (length >= sizeof(only) || (text[length] && prefix_parse(text, &prefix, NULL) < 0))
		return -EINVAL;
	memcpy(only, text, length);
	only[length] = '\0';
	return addr_parse(only, ret_addr);
}

static int wish_add_address(
	struct cni_wishes *wishes, const char *where, const char *text, struct err *err)
{
	char shown[JSON_SHOW_SIZE];
	_json_ json_t *value = json_string(text);
	struct addr addr;

	if (wish_parse_address(text, &addr) < 0)
		return err_set(err, EINVAL,
			"%s: %s is no address; use one like \"10.244.1.7\" or \"fd00::7\"", where,
			json_show(value, shown));
	for (unsigned int i = 0; i < wishes->address_count; i++)
		if (addr_family(&wishes->addresses[i]) == addr_family(&addr))
			return err_set(err, EINVAL,
				"%s: %s is a second address of %s; an interface has one of each "
				"family",
				where, text, family_name(addr_family(&addr)));
	wishes->where[wishes->address_count] = where;
	wishes->addresses[wishes->address_count++] = addr;
	return 0;
}

static int wish_read_list(
	struct cni_wishes *wishes, const struct json_at *above, const char *where, struct err *err)
{
	struct json_at list = {0};
	int r = json_get_array(above, "ips", JSON_OPTIONAL, &list, err);

	for (size_t i = 0; r == 0 && i < json_array_size(list.value); i++) {
		struct json_at at = json_element(&list, i);
		const char *text;

		r = json_as_string(&at, &text, err);
		if (r == 0)
			r = wish_add_address(wishes, where, text, err);
	}
	return r;
}

/* IP= of CNI_ARGS: one, or several with commas between them. */
static int wish_read_argument(struct cni_wishes *wishes, const char *text, struct err *err)
{
	char one[ADDR_TEXT_SIZE + 4];
	int r = 0;

	while (*text && r == 0) {
		size_t length = strcspn(text, ",");

		snprintf(one, sizeof(one), "%.*s", (int)length, text);
		r = wish_add_address(wishes, "CNI_ARGS: IP", one, err);
		text += length + (text[length] == ',');
	}
	return r;
}

static int wish_parse_mac(const char *text, unsigned char mac[6])
{
	if (strlen(text) != 17)
		return -EINVAL;
	for (unsigned int i = 0; i < 6; i++) {
		const char *at = text + 3 * i;
		unsigned int byte;

		if (!isxdigit((unsigned char)at[0]) || !isxdigit((unsigned char)at[1]) ||
			(i < 5 && at[2] != ':') || sscanf(at, "%2x", &byte) != 1)
			return -EINVAL;
		mac[i] = (unsigned char)byte;
	}
	return 0;
}

static int wish_set_mac(
	struct cni_wishes *wishes, const char *where, const char *text, struct err *err)
{
	static const unsigned char none[6];
	char shown[JSON_SHOW_SIZE];
	_json_ json_t *value = json_string(text);
	unsigned char mac[6];

	if (wish_parse_mac(text, mac) < 0)
		return err_set(err, EINVAL,
			"%s: %s is no MAC address; use one like \"0a:58:0a:f4:01:07\"", where,
			json_show(value, shown));
	if (mac[0] & 1 || memcmp(mac, none, sizeof(mac)) == 0)
		return err_set(err, EINVAL,
			"%s: %s is for no single interface; use a unicast address", where, text);
	memcpy(wishes->mac, mac, sizeof(mac));
	wishes->has_mac = true;
	return 0;
}

/*
 * Go's readers take a key in whatever case, and containerd writes "IngressRate" for what the
 * conventions call "ingressRate".
 */
static int wish_get_bits(
	const struct json_at *bandwidth, const char *key, __u64 *ret_bits, struct err *err)
{
	int64_t bits = 0;
	char capital[16];
	int r;

	snprintf(capital, sizeof(capital), "%c%s", toupper((unsigned char)*key), key + 1);
	r = json_get_int(bandwidth, capital, JSON_OPTIONAL, 0, INT64_MAX, &bits, err);
	if (r == 0)
		r = json_get_int(bandwidth, key, JSON_OPTIONAL, 0, INT64_MAX, &bits, err);
	if (r < 0)
		return r;
	*ret_bits = (__u64)bits;
	return 0;
}

static int wish_read_limit(const struct json_at *bandwidth, const char *rate, const char *burst,
	struct attachment_limit *limit, struct err *err)
{
	int r = wish_get_bits(bandwidth, rate, &limit->rate, err);

	return r < 0 ? r : wish_get_bits(bandwidth, burst, &limit->burst, err);
}

static int wish_read_bandwidth(
	const struct json_at *runtime, struct cni_wishes *wishes, struct err *err)
{
	struct json_at bandwidth = {0};
	int r = json_get_object(runtime, "bandwidth", JSON_OPTIONAL, &bandwidth, err);

	if (r < 0 || !bandwidth.value)
		return r;
	r = wish_read_limit(
		&bandwidth, "ingressRate", "ingressBurst", &wishes->limit[DIRECTION_INGRESS], err);
	return r < 0 ? r
		     : wish_read_limit(&bandwidth, "egressRate", "egressBurst",
			       &wishes->limit[DIRECTION_EGRESS], err);
}

static int wish_read_label(const struct json_at *at, struct cni_wishes *wishes, struct err *err)
{
	const char *key = "", *value = "";
	size_t used = strlen(wishes->labels);
	int r = json_get_string(at, "key", JSON_REQUIRED, &key, err);

	if (r == 0)
		r = json_get_string(at, "value", JSON_OPTIONAL, &value, err);
	if (r < 0)
		return r;
	if (!name_is_label_key(key) || !name_is_label_value(value))
		return json_error(at, err,
			"is no label; key and value must be as those of Kubernetes' labels");
	if (used + strlen(key) + strlen(value) + 3 > sizeof(wishes->labels))
		return json_error(at, err, "is too much; labels may have %zu bytes in all",
			sizeof(wishes->labels) - 1);
	snprintf(wishes->labels + used, sizeof(wishes->labels) - used, "%s=%s\n", key, value);
	return 0;
}

/* What Kubernetes starts has its labels from the API server. */
static int wish_read_labels(const struct json_at *cni, const struct cni_request *request,
	struct cni_wishes *wishes, struct err *err)
{
	struct json_at labels = {0};
	int r = json_get_array(cni, "labels", JSON_OPTIONAL, &labels, err);

	for (size_t i = 0; r == 0 && i < json_array_size(labels.value); i++) {
		struct json_at at = json_element(&labels, i);

		if (!json_is_object(at.value))
			return json_error(&at, err, "is %s; use an object with key and value",
				json_type_name(at.value));
		if (!*request->pod_name)
			r = wish_read_label(&at, wishes, err);
	}
	return r;
}

static int wishes_read_config(
	const struct cni_request *request, struct cni_wishes *wishes, struct err *err)
{
	struct json_at root = json_root(request->config), runtime = {0}, args = {0}, cni = {0};
	const char *mac = NULL;
	int r = json_get_object(&root, "runtimeConfig", JSON_OPTIONAL, &runtime, err);

	if (r == 0 && runtime.value)
		r = wish_read_list(wishes, &runtime, "runtimeConfig.ips", err);
	if (r == 0 && runtime.value)
		r = wish_read_bandwidth(&runtime, wishes, err);
	if (r == 0 && runtime.value)
		r = json_get_string(&runtime, "mac", JSON_OPTIONAL, &mac, err);
	if (r == 0 && mac)
		r = wish_set_mac(wishes, "runtimeConfig.mac", mac, err);
	if (r == 0)
		r = json_get_object(&root, "args", JSON_OPTIONAL, &args, err);
	if (r == 0 && args.value)
		r = json_get_object(&args, "cni", JSON_OPTIONAL, &cni, err);
	if (r == 0 && cni.value)
		r = wish_read_labels(&cni, request, wishes, err);
	if (r == 0 && cni.value && !wishes->address_count)
		r = wish_read_list(wishes, &cni, "args.cni.ips", err);
	return r;
}

int cni_wishes_read(
	const struct cni_request *request, struct cni_wishes *ret_wishes, struct cni_error *error)
{
	struct cni_wishes wishes = {0};
	int r = cni_network_read(request, wishes.network, error);

	if (r == 0)
		r = wishes_read_config(request, &wishes, &error->reason);
	if (r < 0)
		return r;
	error->code = CNI_INVALID_ENVIRONMENT;
	if (!wishes.address_count)
		r = wish_read_argument(&wishes, request->ip, &error->reason);
	if (r == 0 && !wishes.has_mac && *request->mac)
		r = wish_set_mac(&wishes, "CNI_ARGS: MAC", request->mac, &error->reason);
	if (r < 0)
		return r;
	*ret_wishes = wishes;
	return 0;
}
