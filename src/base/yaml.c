/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/yaml_scalar.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/*
 * libyaml gives events; the trees are built here, because neither the types of plain scalars nor
 * duplicate keys nor limits are libyaml's business.
 *
 * Two kinds of trouble. What libyaml refuses leaves the rest of the text without meaning: the
 * reader ends (broken). What only this reader refuses (a key twice, depth, a tag) ends the document:
 * its remaining events are skipped and the next document is read as if nothing had been. But
 * libyaml takes longer for each event the deeper it stands, and each costs time and memory: where
 * there are far too many levels or too many values, the reader ends too.
 *
 * An alias is a copy of what its anchor named, counted node by node, so a short text cannot
 * unfold into gigabytes. An anchor is known only when its node is complete: nothing contains
 * itself.
 */

#define YAML_NESTING_MAX 256

struct yaml_reader {
	yaml_parser_t parser;
	struct hash anchors; /* name -> json_t, of this document */
	size_t values; /* so far */
	unsigned int nesting; /* of events, those of a refused document as well */
	bool broken;
	struct err *err;
};

static void yaml_event_cleanup(yaml_event_t *event)
{
	yaml_event_delete(event);
}

#define _event_ _cleanup_(yaml_event_cleanup)

static int yaml_read_node(struct yaml_reader *reader, const yaml_event_t *event, unsigned int depth,
	json_t **ret_node);

static int yaml_refuse(struct yaml_reader *reader, const yaml_event_t *event, const char *reason)
{
	return err_set(reader->err, EINVAL, "line %zu: %s", event->start_mark.line + 1, reason);
}

static const char yaml_too_deep[] = "more than 64 levels";
static const char yaml_too_many[] = "more than 1000000 values";
_Static_assert(JSON_DEPTH_MAX == 64 && YAML_VALUES_MAX == 1000000, "as the texts say");

static int yaml_break(struct yaml_reader *reader, const yaml_event_t *event, const char *reason)
{
	reader->broken = true;
	return yaml_refuse(reader, event, reason);
}

static int yaml_count(struct yaml_reader *reader, const yaml_event_t *event)
{
	return ++reader->values > YAML_VALUES_MAX ? yaml_break(reader, event, yaml_too_many) : 0;
}

static int yaml_bound(struct yaml_reader *reader, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (++reader->nesting > YAML_NESTING_MAX)
			return yaml_break(reader, event, yaml_too_deep);
		return yaml_count(reader, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		reader->nesting--;
		return 0;
	default:
		return yaml_count(reader, event);
	}
}

static int yaml_next(struct yaml_reader *reader, yaml_event_t *ret_event)
{
	yaml_parser_t *parser = &reader->parser;

	if (yaml_parser_parse(parser, ret_event))
		return yaml_bound(reader, ret_event);
	/* libyaml may leave a half-made event behind. */
	memset(ret_event, 0, sizeof(*ret_event));
	reader->broken = true;
	return err_set(reader->err, EINVAL, "line %zu, column %zu: %s%s%s",
		parser->problem_mark.line + 1, parser->problem_mark.column + 1,
		parser->problem ? parser->problem : "no YAML", parser->context ? " " : "",
		parser->context ? parser->context : "");
}

static int yaml_check_depth(
	struct yaml_reader *reader, const yaml_event_t *event, unsigned int depth)
{
	return depth > JSON_DEPTH_MAX ? yaml_refuse(reader, event, yaml_too_deep) : 0;
}

/* A copy that counts; the caller's event is the alias. */
static int yaml_copy(struct yaml_reader *reader, const yaml_event_t *event, json_t *node,
	unsigned int depth, json_t **ret_copy)
{
	_json_ json_t *copy = NULL;
	const char *key;
	json_t *child, *child_copy;
	size_t index;
	int r = yaml_check_depth(reader, event, depth);

	if (r == 0)
		r = yaml_count(reader, event);
	if (r < 0)
		return r;
	if (json_is_object(node)) {
		copy = json_object();
		json_object_foreach(node, key, child) {
			r = yaml_copy(reader, event, child, depth + 1, &child_copy);
			if (r < 0)
				return r;
			json_object_set_new(copy, key, child_copy);
		}
	} else if (json_is_array(node)) {
		copy = json_array();
		json_array_foreach(node, index, child) {
			r = yaml_copy(reader, event, child, depth + 1, &child_copy);
			if (r < 0)
				return r;
			json_array_append_new(copy, child_copy);
		}
	} else {
		copy = json_copy(node);
	}
	*ret_copy = TAKE_PTR(copy);
	return 0;
}

static int yaml_read_alias(struct yaml_reader *reader, const yaml_event_t *event,
	unsigned int depth, json_t **ret_node)
{
	const char *name = (const char *)event->data.alias.anchor;
	json_t *node = hash_get(&reader->anchors, name);

	if (!node)
		return yaml_refuse(reader, event, "an alias to what is not there, or not complete");
	return yaml_copy(reader, event, node, depth, ret_node);
}

static void yaml_free_anchor(void *node)
{
	json_decref(node);
}

static void yaml_anchor(struct yaml_reader *reader, const yaml_char_t *name, json_t *node)
{
	if (name)
		json_decref(hash_put(&reader->anchors, (const char *)name, json_incref(node)));
}

enum yaml_tag { YAML_TAG_NONE, YAML_TAG_STRING, YAML_TAG_OTHER, YAML_TAG_UNKNOWN };

static enum yaml_tag yaml_tag_of(const yaml_char_t *tag)
{
	static const struct {
		const char *name;
		enum yaml_tag tag;
	} tags[] = {
		{"!", YAML_TAG_STRING},
		{YAML_STR_TAG, YAML_TAG_STRING},
		{YAML_INT_TAG, YAML_TAG_OTHER},
		{YAML_FLOAT_TAG, YAML_TAG_OTHER},
		{YAML_BOOL_TAG, YAML_TAG_OTHER},
		{YAML_NULL_TAG, YAML_TAG_OTHER},
	};

	if (!tag)
		return YAML_TAG_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		if (strcmp((const char *)tag, tags[i].name) == 0)
			return tags[i].tag;
	return YAML_TAG_UNKNOWN;
}

static int yaml_read_scalar(
	struct yaml_reader *reader, const yaml_event_t *event, json_t **ret_node)
{
	const char *value = (const char *)event->data.scalar.value;
	enum yaml_tag tag = yaml_tag_of(event->data.scalar.tag);
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct err reason = {0};

	if (strlen(value) != event->data.scalar.length)
		return yaml_refuse(reader, event, "a NUL in a string");
	if (tag == YAML_TAG_UNKNOWN)
		return yaml_refuse(reader, event,
			"a tag that is not read; !!str !!int !!float !!bool !!null are");
	if (tag == YAML_TAG_STRING || (tag == YAML_TAG_NONE && !plain)) {
		*ret_node = json_string(value);
		return *ret_node ? 0 : yaml_refuse(reader, event, "a string is no UTF-8");
	}
	if (yaml_scalar_resolve(value, ret_node, &reason) < 0)
		return yaml_refuse(reader, event, reason.text);
	return 0;
}

static int yaml_read_sequence(struct yaml_reader *reader, unsigned int depth, json_t **ret_node)
{
	_json_ json_t *array = json_array();

	for (;;) {
		_event_ yaml_event_t event = {0};
		json_t *element;
		int r = yaml_next(reader, &event);

		if (r < 0)
			return r;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			break;
		r = yaml_read_node(reader, &event, depth + 1, &element);
		if (r < 0)
			return r;
		json_array_append_new(array, element);
	}
	*ret_node = TAKE_PTR(array);
	return 0;
}

/* Keys are strings in JSON; numbers and bools become what they would print as. */
static int yaml_read_key(
	struct yaml_reader *reader, const yaml_event_t *event, unsigned int depth, char **ret_key)
{
	_json_ json_t *node = NULL;
	int r = yaml_read_node(reader, event, depth, &node);

	if (r < 0)
		return r;
	if (json_is_string(node))
		*ret_key = mem_string(json_string_value(node));
	else if (json_is_number(node) || json_is_boolean(node))
		*ret_key = json_write(node);
	else
		return yaml_refuse(reader, event, "a key is no string");
	return 0;
}

static bool yaml_is_merge(const yaml_event_t *event)
{
	return event->type == YAML_SCALAR_EVENT && !event->data.scalar.tag &&
	       event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       strcmp((const char *)event->data.scalar.value, "<<") == 0;
}

/* The keys of one "<<": a mapping or a list of them, of which earlier ones win. */
static int yaml_merge(
	struct yaml_reader *reader, const yaml_event_t *event, json_t *merged, json_t *ret_defaults)
{
	json_t *one;
	size_t index;

	if (json_is_object(merged)) {
		json_object_update_missing(ret_defaults, merged);
		return 0;
	}
	if (!json_is_array(merged))
		return yaml_refuse(reader, event, "<< wants a mapping or a list of mappings");
	json_array_foreach(merged, index, one) {
		if (!json_is_object(one))
			return yaml_refuse(
				reader, event, "<< wants a mapping or a list of mappings");
		json_object_update_missing(ret_defaults, one);
	}
	return 0;
}

static int yaml_read_pair(struct yaml_reader *reader, const yaml_event_t *key_event,
	unsigned int depth, json_t *object, json_t *defaults)
{
	_event_ yaml_event_t event = {0};
	_json_ json_t *value = NULL;
	_free_ char *key = NULL;
	bool merge = yaml_is_merge(key_event);
	int r = yaml_read_key(reader, key_event, depth + 1, &key);

	if (r < 0)
		return r;
	if (!merge && json_object_get(object, key)) {
		char shown[JSON_SHOW_SIZE];
		_json_ json_t *name = json_string(key);

		return err_set(reader->err, EINVAL, "line %zu: the key %s is given twice",
			key_event->start_mark.line + 1, json_show(name, shown));
	}
	r = yaml_next(reader, &event);
	if (r < 0)
		return r;
	r = yaml_read_node(reader, &event, depth + 1, &value);
	if (r < 0)
		return r;
	if (merge)
		return yaml_merge(reader, &event, value, defaults);
	json_object_set_new(object, key, TAKE_PTR(value));
	return 0;
}

static int yaml_read_mapping(struct yaml_reader *reader, unsigned int depth, json_t **ret_node)
{
	_json_ json_t *object = json_object(), *defaults = json_object();

	for (;;) {
		_event_ yaml_event_t event = {0};
		int r = yaml_next(reader, &event);

		if (r < 0)
			return r;
		if (event.type == YAML_MAPPING_END_EVENT)
			break;
		r = yaml_read_pair(reader, &event, depth, object, defaults);
		if (r < 0)
			return r;
	}
	json_object_update_missing(object, defaults);
	*ret_node = TAKE_PTR(object);
	return 0;
}

static int yaml_read_node(struct yaml_reader *reader, const yaml_event_t *event, unsigned int depth,
	json_t **ret_node)
{
	const yaml_char_t *anchor = NULL;
	int r = yaml_check_depth(reader, event, depth);

	if (r < 0)
		return r;
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return yaml_read_alias(reader, event, depth, ret_node);
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		r = yaml_read_scalar(reader, event, ret_node);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		r = yaml_read_sequence(reader, depth, ret_node);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		r = yaml_read_mapping(reader, depth, ret_node);
		break;
	default:
		return yaml_refuse(reader, event, "no value");
	}
	if (r == 0)
		yaml_anchor(reader, anchor, *ret_node);
	return r;
}

/* Up to the end of a document that was refused. */
static int yaml_skip_document(struct yaml_reader *reader)
{
	for (;;) {
		_event_ yaml_event_t event = {0};
		int r = yaml_next(reader, &event);

		if (r < 0)
			return r;
		if (event.type == YAML_DOCUMENT_END_EVENT)
			return 0;
	}
}

static int yaml_read_document(struct yaml_reader *reader, struct yaml_document *document)
{
	_event_ yaml_event_t event = {0};
	int r;

	hash_clear(&reader->anchors, yaml_free_anchor);
	r = yaml_next(reader, &event);
	if (r < 0)
		return r;
	r = yaml_read_node(reader, &event, 1, &document->tree);
	if (r < 0 && !reader->broken)
		document->reason = mem_string(reader->err->text);
	if (reader->broken)
		return r;
	return yaml_skip_document(reader);
}

static void yaml_documents_add(
	struct yaml_documents *documents, size_t *capacity, struct yaml_document document)
{
	documents->list =
		mem_grow(documents->list, capacity, documents->count + 1, sizeof(*documents->list));
	documents->list[documents->count++] = document;
}

static int yaml_read_stream(struct yaml_reader *reader, struct yaml_documents *documents)
{
	size_t capacity = 0;

	for (;;) {
		struct yaml_document document = {0};
		_event_ yaml_event_t event = {0};
		int r = yaml_next(reader, &event);

		if (r < 0)
			return r;
		if (event.type == YAML_STREAM_END_EVENT)
			return 0;
		if (event.type != YAML_DOCUMENT_START_EVENT)
			continue;
		document.line = event.start_mark.line + 1;
		r = yaml_read_document(reader, &document);
		if (r < 0) {
			json_cleanup(&document.tree);
			free(document.reason);
			return r;
		}
		if (json_is_null(document.tree))
			json_cleanup(&document.tree);
		else
			yaml_documents_add(documents, &capacity, document);
	}
}

static int yaml_read_events(
	const char *text, size_t length, struct yaml_documents *ret_documents, struct err *err)
{
	struct yaml_documents documents = {0};
	struct yaml_reader reader = {.err = err};
	int r;

	if (!yaml_parser_initialize(&reader.parser))
		return err_set(err, ENOMEM, "no YAML parser");
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, length);
	r = yaml_read_stream(&reader, &documents);
	yaml_parser_delete(&reader.parser);
	hash_clear(&reader.anchors, yaml_free_anchor);
	if (r < 0)
		yaml_documents_clear(&documents);
	else
		*ret_documents = documents;
	return r;
}

static bool yaml_looks_like_json(const char *text, size_t length)
{
	size_t at = 0;

	while (at < length && strchr(" \t\r\n", text[at]))
		at++;
	return at < length && (text[at] == '{' || text[at] == '[');
}

/*
 * JSON goes to the JSON reader, as in kubectl. What it refuses may be YAML in flow style; where
 * that fails too, the JSON reader's words are the helpful ones.
 */
static int yaml_read_json(
	const char *text, size_t length, struct yaml_documents *ret_documents, struct err *err)
{
	struct yaml_document document = {.line = 1};
	size_t capacity = 0;

	if (json_read(text, length, &document.tree, err) == 0) {
		*ret_documents = (struct yaml_documents){0};
		yaml_documents_add(ret_documents, &capacity, document);
		return 0;
	}
	return yaml_read_events(text, length, ret_documents, &(struct err){0});
}

int yaml_read(
	const char *text, size_t length, struct yaml_documents *ret_documents, struct err *err)
{
	static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, which some editors put first */
	struct err unasked = {0};
	const char *nul;
	size_t offset;

	if (!err)
		err = &unasked;
	if (length > YAML_SIZE_MAX)
		return err_set(
			err, EINVAL, "%zu bytes; at most %lu are read", length, YAML_SIZE_MAX);
	if (length >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
		text += strlen(mark);
		length -= strlen(mark);
	}
	if (!text_is_utf8(text, length, &offset))
		return err_set(err, EINVAL, "line %zu: no UTF-8", text_line_at(text, offset));
	nul = length ? memchr(text, '\0', length) : NULL;
	if (nul)
		return err_set(err, EINVAL, "line %zu: a NUL byte",
			text_line_at(text, (size_t)(nul - text)));
	if (yaml_looks_like_json(text, length))
		return yaml_read_json(text, length, ret_documents, err);
	return yaml_read_events(text, length, ret_documents, err);
}

void yaml_documents_clear(struct yaml_documents *documents)
{
	for (size_t i = 0; i < documents->count; i++) {
		json_cleanup(&documents->list[i].tree);
		free(documents->list[i].reason);
	}
	free(documents->list);
	*documents = (struct yaml_documents){0};
}

int yaml_read_one(const char *text, size_t length, json_t **ret_tree, struct err *err)
{
	_cleanup_(yaml_documents_clear) struct yaml_documents documents = {0};
	int r = yaml_read(text, length, &documents, err);

	if (r < 0)
		return r;
	if (documents.count > 1)
		return err_set(err, EINVAL, "line %zu: a second document; one is read",
			documents.list[1].line);
	if (documents.count == 0)
		*ret_tree = json_object();
	else if (documents.list[0].reason)
		return err_set(err, EINVAL, "%s", documents.list[0].reason);
	else
		*ret_tree = TAKE_PTR(documents.list[0].tree);
	return 0;
}
