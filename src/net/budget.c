/*
 * budget.c
 *		Memory for answers, or for requests, shared by the owners that a process
 *		serves.
 *
 * Accounts are found by a search through the list, which has one for each
 * owner that this process has sent for; they are never freed, because
 * transfers and answers point to them.
 */
#include "postgres.h"

#include "net/budget.h"
#include "utils/memutils.h"

/*
 * In the given context, with accounts and all; its limit is to be set before
 * the first use.
 */
SagaBudget *
saga_budget_create(MemoryContext context)
{
	SagaBudget *budget = MemoryContextAllocZero(context, sizeof(SagaBudget));

	budget->context = context;
	return budget;
}

/* The owner's, made when he is first asked for. */
SagaAccount *
saga_budget_account(SagaBudget *budget, Oid owner)
{
	MemoryContext old;
	SagaAccount *account;
	ListCell   *lc;

	foreach(lc, budget->accounts)
	{
		account = lfirst(lc);
		if (account->owner == owner)
			return account;
	}
	old = MemoryContextSwitchTo(budget->context);
	account = palloc0(sizeof(SagaAccount));
	account->budget = budget;
	account->owner = owner;
	budget->accounts = lappend(budget->accounts, account);
	MemoryContextSwitchTo(old);
	return account;
}
