/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin hands to the agent: "COMMAND NUL CNI_ARGS NUL configuration", so that the
 * fuzzer need not write JSON inside JSON; the answer has to be JSON again.
 */
#include "fuzz.h"

#include "agent/cni.h"
#include "agent/valid.h"
#include "agent/wishes.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void cni_answer(struct text *reply)
{
	_json_ json_t *tree = NULL;

	if (json_read(text_string(reply), reply->length, &tree, NULL) < 0)
		abort();
	text_clear(reply);
}

static json_t *cni_parameters(const char *text)
{
	const char *arguments = text + strlen(text) + 1;
	const char *config = arguments + strlen(arguments) + 1;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "command", text, "containerID", "c1",
		"netns", "/run/netns/c1", "ifname", "eth0", "args", arguments, "config", config);
}

/* What a record holds has to end, and be what its readers rely on. */
static void cni_check_wishes(const struct cni_wishes *wishes)
{
	if (!memchr(wishes->network, 0, sizeof(wishes->network)) || strchr(wishes->network, '/') ||
		!memchr(wishes->labels, 0, sizeof(wishes->labels)) ||
		!text_is_utf8(wishes->labels, strlen(wishes->labels), NULL) ||
		(wishes->has_mac && (wishes->mac[0] & 1)) ||
		wishes->address_count > ATTACHMENT_ADDRESSES)
		abort();
	for (unsigned int i = 1; i < wishes->address_count; i++)
		if (addr_family(&wishes->addresses[i]) == addr_family(&wishes->addresses[0]))
			abort();
}

/* All that ADD, CHECK and GC read of the configuration, and the result that ADD would give. */
static int cni_read_config(const struct cni_request *request, const struct cni_result *fresh,
	struct text *reply, struct cni_error *error)
{
	struct json_at root = json_root(request->config);
	struct cni_result result = *fresh;
	struct cni_wishes wishes;
	struct valid valid;

	if (cni_wishes_read(request, &wishes, error) < 0)
		return -EINVAL;
	cni_check_wishes(&wishes);
	error->code = CNI_INVALID_CONFIG;
	if (valid_read(&root, &valid, &error->reason) < 0 ||
		cni_previous_read(request, &result.previous, error) < 0)
		return -EINVAL;
	valid_has(&valid, request->container, request->ifname);
	cni_reply_result(request, &result, reply);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(cni_request_clear) struct cni_request request = {.version = CNI_VERSION_1_0_0};
	const unsigned char mac[6] = {2};
	const struct addr addresses[2] = {{.bytes = {0xfd, 1}}, {.bytes = {0xfd, 2}}};
	const struct cni_result result = {{{"pw1", mac, NULL, 1450}, {"eth0", mac, "/n", 1450}},
		addresses, ARRAY_SIZE(addresses)};
	_free_ char *text = mem_new(size + 3, 1); /* three ends, whatever the input has */
	struct cni_error error = {0};
	_json_ json_t *tree = NULL;
	_text_ struct text reply = {0};

	if (size)
		memcpy(text, data, size);
	tree = cni_parameters(text);
	if (!tree) /* no UTF-8: the socket's reader would have refused it */
		return 0;
	if (cni_request_read(tree, &request, &error) < 0 ||
		cni_read_config(&request, &result, &reply, &error) < 0) {
		if (!error.code || !*error.reason.text)
			abort(); /* refused without a reason */
		cni_reply_error(&request, &error, &reply);
	}
	cni_answer(&reply);
	return 0;
}
