/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/nft.h"

#include "base/mem.h"
#include "base/text.h"
#include "linux/tool.h"

#include <string.h>

static const struct tool nft_tool = {
	.name = "nft", .package = "nftables", .seconds = NFT_SECONDS, .output_max = 64 * 1024};

int nft_apply(const char *text, struct err *err)
{
	static const char *const words[TOOL_ARGUMENTS] = {"-f", "-"};
	_text_ struct text output = {0};

	return tool_run(&nft_tool, words, text, &output, err);
}

int nft_table_exists(const char *family, const char *table, bool *ret_exists, struct err *err)
{
	static const char *const words[TOOL_ARGUMENTS] = {"list", "tables"};
	_free_ char *line = mem_format("table %s %s\n", family, table);
	_text_ struct text output = {0};
	int r = tool_run(&nft_tool, words, "", &output, err);

	if (r == 0)
		*ret_exists = strstr(text_string(&output), line) != NULL;
	return r;
}

int nft_delete_table(const char *family, const char *table, struct err *err)
{
	/* What is added first is there to be deleted, and both are one transaction. */
	_free_ char *text =
		mem_format("add table %s %s\ndelete table %s %s\n", family, table, family, table);

	return nft_apply(text, err);
}
