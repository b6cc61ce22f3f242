/* SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause */
#pragma once

/* Errors of the CNI specification, section "Error"; 0 to 99 are its own. */
enum cni_code {
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2,
	CNI_UNKNOWN_CONTAINER = 3,
	CNI_INVALID_ENVIRONMENT = 4,
	CNI_IO = 5,
	CNI_DECODE = 6,
	CNI_INVALID_CONFIG = 7,
	CNI_TRY_AGAIN = 11,
	CNI_PLUGIN_UNAVAILABLE = 50,
	CNI_ATTACHED_ALREADY = 100,
	CNI_NOT_AS_ADDED = 101, /* CHECK: what ADD has made is missing or has been changed */
};
