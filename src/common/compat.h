/*
 * compat.h
 *		Differences between PostgreSQL 14 and 18, in one place.
 */
#ifndef SAGA_COMPAT_H
#define SAGA_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 140000
#error "pg_saga needs PostgreSQL 14 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#include "catalog/pg_class_d.h"
#else
#include "utils/acl.h"
#endif

/* 15: shared memory is requested in a hook of its own */
#if PG_VERSION_NUM >= 150000
#define SAGA_HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* 16: one object_aclcheck for all catalogs */
#if PG_VERSION_NUM < 160000
#define saga_proc_aclcheck(oid, role, mode) pg_proc_aclcheck(oid, role, mode)
#define saga_namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#define saga_database_aclcheck(oid, role, mode) pg_database_aclcheck(oid, role, mode)
#else
#define saga_proc_aclcheck(oid, role, mode) object_aclcheck(ProcedureRelationId, oid, role, mode)
#define saga_namespace_aclcheck(oid, role, mode) object_aclcheck(NamespaceRelationId, oid, role, mode)
#define saga_database_aclcheck(oid, role, mode) object_aclcheck(DatabaseRelationId, oid, role, mode)
#endif

#endif							/* SAGA_COMPAT_H */
