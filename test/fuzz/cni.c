/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the plugin hands to the agent: "COMMAND NUL CNI_ARGS NUL configuration", so that the
 * fuzzer need not write JSON inside JSON; the answer has to be JSON again.
 */
#include "fuzz.h"

#include "agent/cni.h"
#include "base/json.h"
#include "base/mem.h"

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
	if (cni_request_read(tree, &request, &error) < 0) {
		cni_reply_error(&request, &error, &reply);
	} else {
		cni_reply_result(&request, &result, &reply);
	}
	cni_answer(&reply);
	return 0;
}
