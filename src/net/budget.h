/*
 * budget.h
 *		Memory for answers, or for requests, shared by the owners that a process
 *		serves.
 *
 * All of it is arithmetic: libcurl's callbacks use it too.
 */
#ifndef SAGA_NET_BUDGET_H
#define SAGA_NET_BUDGET_H

#include "nodes/pg_list.h"

typedef struct SagaBudget
{
	MemoryContext context;
	size_t		limit;			/* set before each use: it is a setting */
	size_t		used;			/* of all accounts */
	int			npaused;		/* transfers that wait for memory */
	List	   *accounts;		/* SagaAccount */
} SagaBudget;

/* One owner's.  Lives as long as the budget. */
typedef struct SagaAccount
{
	SagaBudget *budget;
	Oid			owner;
	size_t		bytes;			/* of the budget's "used" */
	int			requests;		/* in flight, of who counts them here */
	const void *first;			/* the transfer that goes on whatever is used: somebody must; NULL: none */
} SagaAccount;

extern SagaBudget *saga_budget_create(MemoryContext context);
extern SagaAccount *saga_budget_account(SagaBudget *budget, Oid owner);

/*
 * As with requests, an owner has at most twice as much as is free: two thirds
 * when he is alone, and some is left for another one.
 */
static inline bool
saga_account_has_room(const SagaAccount *account, size_t n)
{
	const SagaBudget *budget = account->budget;

	return budget->used + n <= budget->limit &&
		account->bytes + n <= 2 * (budget->limit - budget->used - n);
}

/* So much more may he have, when he has taken n more. */
static inline size_t
saga_account_left(const SagaAccount *account, size_t n)
{
	const SagaBudget *budget = account->budget;
	size_t		unused = budget->limit > budget->used + n ? budget->limit - budget->used - n : 0;

	return 2 * unused > account->bytes + n ? (2 * unused - account->bytes - n) / 3 : 0;
}

/* Of what is there already and cannot be left where it is: as much again as may be used, over all owners. */
static inline bool
saga_account_may_overdraw(const SagaAccount *account, size_t n)
{
	return account->budget->used + n <= 2 * account->budget->limit;
}

static inline void
saga_account_take(SagaAccount *account, size_t n)
{
	account->bytes += n;
	account->budget->used += n;
}

static inline void
saga_account_give(SagaAccount *account, size_t n)
{
	account->bytes -= n;
	account->budget->used -= n;
}

#endif							/* SAGA_NET_BUDGET_H */
