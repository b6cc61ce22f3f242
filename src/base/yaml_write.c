/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/yaml.h"
#include "base/yaml_scalar.h"

#include <string.h>
#include <yaml.h>

/*
 * A string is written plain only where the reader's own table would make it a string again; all
 * else is quoted. libyaml decides on the quotes, except for control characters (a tab at the end
 * of a plain scalar would be lost), which always need double ones.
 */

static void yaml_emit_node(yaml_emitter_t *emitter, const json_t *node);

/* Events carry copies; a failure would be out of memory or a wrong order of events. */
static void yaml_emit(yaml_emitter_t *emitter, yaml_event_t *event, int initialized)
{
	if (!initialized || !yaml_emitter_emit(emitter, event))
		abort();
}

static void yaml_emit_scalar(
	yaml_emitter_t *emitter, const char *value, int plain, yaml_scalar_style_t style)
{
	yaml_event_t event;

	yaml_emit(emitter, &event,
		yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)value,
			(int)strlen(value), plain, 1, style));
}

static void yaml_emit_string(yaml_emitter_t *emitter, const char *value)
{
	_json_ json_t *resolved = NULL;
	bool plain = yaml_scalar_resolve(value, &resolved, NULL) == 0 && json_is_string(resolved) &&
		     strcmp(value, "<<") != 0;
	yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;

	for (const char *at = value; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	yaml_emit_scalar(emitter, value, plain, style);
}

static void yaml_emit_array(yaml_emitter_t *emitter, const json_t *array)
{
	yaml_event_t event;
	json_t *element;
	size_t index;

	yaml_emit(emitter, &event,
		yaml_sequence_start_event_initialize(
			&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
	json_array_foreach((json_t *)array, index, element) yaml_emit_node(emitter, element);
	yaml_emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static void yaml_emit_object(yaml_emitter_t *emitter, const json_t *object)
{
	yaml_event_t event;
	const char *key;
	json_t *value;

	yaml_emit(emitter, &event,
		yaml_mapping_start_event_initialize(
			&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
	json_object_foreach((json_t *)object, key, value) {
		yaml_emit_string(emitter, key);
		yaml_emit_node(emitter, value);
	}
	yaml_emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static void yaml_emit_node(yaml_emitter_t *emitter, const json_t *node)
{
	_free_ char *text = NULL;

	if (json_is_object(node)) {
		yaml_emit_object(emitter, node);
	} else if (json_is_array(node)) {
		yaml_emit_array(emitter, node);
	} else if (json_is_string(node)) {
		yaml_emit_string(emitter, json_string_value(node));
	} else {
		text = json_write(node);
		yaml_emit_scalar(emitter, text, 1, YAML_PLAIN_SCALAR_STYLE);
	}
}

static int yaml_append(void *data, unsigned char *buffer, size_t size)
{
	text_append_bytes(data, buffer, size);
	return 1;
}

char *yaml_write(const json_t *tree)
{
	struct text text = {0};
	yaml_emitter_t emitter;
	yaml_event_t event;

	if (!yaml_emitter_initialize(&emitter))
		abort();
	yaml_emitter_set_output(&emitter, yaml_append, &text);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	yaml_emit(&emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	yaml_emit(&emitter, &event,
		yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	yaml_emit_node(&emitter, tree);
	yaml_emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1));
	yaml_emit(&emitter, &event, yaml_stream_end_event_initialize(&event));
	yaml_emitter_delete(&emitter);
	return text_take(&text);
}
