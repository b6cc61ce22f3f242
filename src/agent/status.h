/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "agent/control.h"

/* Answers to questions: value trees, printed by whoever asked. */
void status_run(void *agent, struct control_request *request, struct text *reply);
void status_pods(void *agent, struct control_request *request, struct text *reply);
void status_nodes(void *agent, struct control_request *request, struct text *reply);
void status_drops(void *agent, struct control_request *request, struct text *reply);
void status_tables(void *agent, struct control_request *request, struct text *reply);
void status_diff(void *agent, struct control_request *request, struct text *reply);

/* "TCP", or the number; "" for 0. */
#define STATUS_PROTOCOL_SIZE 16
const char *status_protocol(unsigned int protocol, char text[STATUS_PROTOCOL_SIZE]);
