/*
 * xml.c
 *		Answers of SNS and STS: XML, read by expat.
 *
 * Expat calls back, so nothing of PostgreSQL's is used while it runs: texts
 * are cut to the size of their fields.  A document type declaration, and so
 * any entity of its own, ends the parsing.
 *
 * A text is kept only while its element is the innermost; names of the
 * elements around it say what it means.  Elements that nobody knows are
 * passed over, as services add to their answers.  The root element tells
 * whether it is an answer of the service at all.
 */
#include "postgres.h"

#include <expat.h>
#include <limits.h>

#include "net/charset_private.h"
#include "net/xml.h"

#define MAX_DEPTH 16
#define MAX_NAME 48

typedef struct XmlState
{
	XML_Parser	parser;
	SagaSnsAnswer *answer;
	int			depth;
	char		names[MAX_DEPTH][MAX_NAME];
	SagaSnsEntry *entry;		/* open, NULL: none */
	char		text[512];		/* of the innermost element */
	size_t		text_len;
	bool		known;			/* the root is one of SNS's */
} XmlState;

/* The element around the one that is being read. */
static const char *
parent_name(XmlState *state)
{
	return state->depth >= 2 ? state->names[state->depth - 2] : "";
}

/* One more entry of the answer; NULL: there are more than were sent. */
static SagaSnsEntry *
add_entry(XmlState *state)
{
	if (state->answer->nentries >= SAGA_SNS_MAX_ENTRIES)
		return NULL;
	return &state->answer->entries[state->answer->nentries++];
}

/* Of an answer of SNS: an element begins. */
static void XMLCALL
start_element(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	XmlState   *state = arg;

	if (state->depth >= MAX_DEPTH)
	{
		XML_StopParser(state->parser, XML_FALSE);
		return;
	}
	strlcpy(state->names[state->depth++], name, MAX_NAME);
	state->text_len = 0;
	if (state->depth == 1)
		state->known = strcmp(name, "PublishResponse") == 0 ||
			strcmp(name, "PublishBatchResponse") == 0 || strcmp(name, "ErrorResponse") == 0;
	if (strcmp(name, "PublishResult") == 0)
		state->entry = add_entry(state);
	else if (strcmp(name, "member") == 0)
	{
		state->entry = add_entry(state);
		if (state->entry != NULL)
			state->entry->failed = strcmp(parent_name(state), "Failed") == 0;
	}
}

/* Text, of which so much is kept. */
static void XMLCALL
character_data(void *arg, const XML_Char *text, int len)
{
	XmlState   *state = arg;
	size_t		n = Min((size_t) len, sizeof(state->text) - 1 - state->text_len);

	memcpy(state->text + state->text_len, text, n);
	state->text_len += n;
}

/* A member of an entry. */
static void
set_entry_field(SagaSnsEntry *entry, const char *name, const char *text)
{
	if (strcmp(name, "Id") == 0)
		strlcpy(entry->id, text, sizeof(entry->id));
	else if (strcmp(name, "MessageId") == 0)
		strlcpy(entry->message_id, text, sizeof(entry->message_id));
	else if (strcmp(name, "SequenceNumber") == 0)
		strlcpy(entry->sequence_number, text, sizeof(entry->sequence_number));
	else if (strcmp(name, "Code") == 0)
		strlcpy(entry->code, text, sizeof(entry->code));
	else if (strcmp(name, "Message") == 0)
		strlcpy(entry->message, text, sizeof(entry->message));
	else if (strcmp(name, "SenderFault") == 0)
		entry->sender_fault = strcmp(text, "true") == 0;
}

/* An element has ended: its text is kept if it is one that is known. */
static void XMLCALL
end_element(void *arg, const XML_Char *name)
{
	XmlState   *state = arg;
	SagaSnsAnswer *answer = state->answer;

	state->text[state->text_len] = '\0';
	if (strcmp(name, "member") == 0 || strcmp(name, "PublishResult") == 0)
		state->entry = NULL;
	else if (state->entry != NULL)
		set_entry_field(state->entry, name, state->text);
	else if (strcmp(parent_name(state), "Error") == 0)
	{
		if (strcmp(name, "Code") == 0)
			strlcpy(answer->code, state->text, sizeof(answer->code));
		else if (strcmp(name, "Message") == 0)
			strlcpy(answer->message, state->text, sizeof(answer->message));
	}
	state->text_len = 0;
	state->depth--;
}

/* The user data of a parser here begins with the parser itself. */
static void XMLCALL
start_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
			  int has_internal_subset)
{
	XML_StopParser(*(XML_Parser *) arg, XML_FALSE);
}

/* Runs expat over the whole text.  False: it is not XML, or too deep, or has a document type. */
static bool
parse(XML_Parser *parser, const char *text, size_t len, XML_StartElementHandler start,
	  XML_EndElementHandler end, XML_CharacterDataHandler data)
{
	bool		ok;

	/* what was converted may still say what it was in before */
	if (len > INT_MAX || (*parser = XML_ParserCreate(saga_charset_is_utf8(text, len) ? "UTF-8" : NULL)) == NULL)
		return false;
	XML_SetUserData(*parser, parser);
	XML_SetElementHandler(*parser, start, end);
	XML_SetCharacterDataHandler(*parser, data);
	XML_SetStartDoctypeDeclHandler(*parser, start_doctype);
	ok = XML_Parse(*parser, text, (int) len, XML_TRUE) == XML_STATUS_OK;
	XML_ParserFree(*parser);
	return ok;
}

bool
saga_net_sns_parse(const char *text, size_t len, SagaSnsAnswer *answer)
{
	XmlState	state = {0};

	memset(answer, 0, sizeof(*answer));
	state.answer = answer;
	return parse(&state.parser, text, len, start_element, end_element, character_data) && state.known;
}

/* ---------- STS ---------- */

typedef struct StsState
{
	XML_Parser	parser;
	SagaStsAnswer *answer;
	int			depth;
	char		names[MAX_DEPTH][MAX_NAME];
	char	   *field;			/* what the innermost element fills; NULL: nothing */
	size_t		size;
	size_t		len;
	bool		known;
} StsState;

/* Of an answer of STS: the text of this element goes into its field, at once, so that no copy is left. */
static void
choose_field(StsState *state)
{
	SagaStsAnswer *answer = state->answer;
	const char *parent = state->depth >= 2 ? state->names[state->depth - 2] : "";
	const char *name = state->names[state->depth - 1];
	struct
	{
		const char *parent;
		const char *name;
		char	   *field;
		size_t		size;
	}			fields[] = {
		{"Credentials", "AccessKeyId", answer->access_key, sizeof(answer->access_key)},
		{"Credentials", "SecretAccessKey", answer->secret_key, sizeof(answer->secret_key)},
		{"Credentials", "SessionToken", answer->session_token, sizeof(answer->session_token)},
		{"Credentials", "Expiration", answer->expiration, sizeof(answer->expiration)},
		{"Error", "Code", answer->code, sizeof(answer->code)},
		{"Error", "Message", answer->message, sizeof(answer->message)}
	};
	int			i;

	state->field = NULL;
	state->len = 0;
	for (i = 0; i < lengthof(fields); i++)
	{
		if (strcmp(fields[i].parent, parent) == 0 && strcmp(fields[i].name, name) == 0)
		{
			state->field = fields[i].field;
			state->size = fields[i].size;
		}
	}
}

/* Of an answer of STS: an element begins. */
static void XMLCALL
start_sts_element(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	StsState   *state = arg;

	if (state->depth >= MAX_DEPTH)
	{
		XML_StopParser(state->parser, XML_FALSE);
		return;
	}
	strlcpy(state->names[state->depth++], name, MAX_NAME);
	if (state->depth == 1)
		state->known = strcmp(name, "AssumeRoleWithWebIdentityResponse") == 0 ||
			strcmp(name, "ErrorResponse") == 0;
	choose_field(state);
}

/* Text, for the field that was chosen. */
static void XMLCALL
sts_character_data(void *arg, const XML_Char *text, int len)
{
	StsState   *state = arg;

	if (state->field == NULL)
		return;
	/* a message is cut, half a token is none */
	if (state->len + len >= state->size && state->field != state->answer->message)
		XML_StopParser(state->parser, XML_FALSE);
	len = Min(len, (int) (state->size - 1 - state->len));
	memcpy(state->field + state->len, text, len);
	state->len += len;
	state->field[state->len] = '\0';
}

/* The element has ended, and with it its text. */
static void XMLCALL
end_sts_element(void *arg, const XML_Char *name)
{
	StsState   *state = arg;

	state->depth--;
	state->field = NULL;
}

bool
saga_sts_parse(const char *text, size_t len, SagaStsAnswer *answer)
{
	StsState	state = {0};

	memset(answer, 0, sizeof(*answer));
	state.answer = answer;
	return parse(&state.parser, text, len, start_sts_element, end_sts_element, sts_character_data) &&
		state.known;
}
