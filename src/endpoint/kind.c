/*
 * kind.c
 *		Names of the kinds of destinations, and of what answers mean.
 */
#include "postgres.h"

#include "endpoint/destination.h"

static const char *const kind_names[] = {
	[SAGA_DESTINATION_HTTP] = "http",
	[SAGA_DESTINATION_SNS] = "sns",
	[SAGA_DESTINATION_SQS] = "sqs"
};

/* As create_destination takes it and the table has it. */
const char *
saga_destination_kind_name(SagaDestinationKind kind)
{
	return kind_names[kind];
}

/* False: there is no such kind; *kind stays as it was. */
bool
saga_destination_kind_parse(const char *name, SagaDestinationKind *kind)
{
	int			i;

	for (i = 0; i < lengthof(kind_names); i++)
	{
		if (strcmp(kind_names[i], name) == 0)
		{
			*kind = (SagaDestinationKind) i;
			return true;
		}
	}
	return false;
}

static const char *const class_names[] = {
	"success", "pending", "retry", "uncertain", "duplicate", "auth", "split", "fatal"
};

/* In the order of SagaClass. */
const char *
saga_class_name(SagaClass class)
{
	return class_names[class];
}

int
saga_class_of_name(const char *name)
{
	int			class;

	for (class = lengthof(class_names) - 1; class >= 0; class--)
	{
		if (strcmp(class_names[class], name) == 0)
			break;
	}
	return class;
}
