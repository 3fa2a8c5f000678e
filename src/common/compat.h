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

/* 17: the lexer's memory may be the caller's */
#if PG_VERSION_NUM < 170000
#define saga_make_json_lexer(text, len, escapes) \
	makeJsonLexContextCstringLen(text, len, GetDatabaseEncoding(), escapes)
#else
#define saga_make_json_lexer(text, len, escapes) \
	makeJsonLexContextCstringLen(NULL, text, len, GetDatabaseEncoding(), escapes)
#endif

/* 18: Base64 is made of uint8 */
#if PG_VERSION_NUM < 180000
#define saga_b64_encode(src, len, dst, dstlen) pg_b64_encode(src, len, dst, dstlen)
#define saga_b64_decode(src, len, dst, dstlen) pg_b64_decode(src, len, dst, dstlen)
#else
#define saga_b64_encode(src, len, dst, dstlen) \
	pg_b64_encode((const uint8 *) (src), len, dst, dstlen)
#define saga_b64_decode(src, len, dst, dstlen) \
	pg_b64_decode(src, len, (uint8 *) (dst), dstlen)
#endif

#endif							/* SAGA_COMPAT_H */
