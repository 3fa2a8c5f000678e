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
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"
#else
#include "utils/acl.h"
#endif

/* 15: shared memory is requested in a hook of its own */
#if PG_VERSION_NUM >= 150000
#define SAGA_HAVE_SHMEM_REQUEST_HOOK 1
#endif

/* 15: a set-returning function's tuplestore and descriptor in one call; needs funcapi.h */
#if PG_VERSION_NUM >= 150000
#define saga_init_srf(fcinfo) InitMaterializedSRF(fcinfo, 0)
#else
#define saga_init_srf(fcinfo) \
	do { \
		ReturnSetInfo *srf_ = (ReturnSetInfo *) (fcinfo)->resultinfo; \
		MemoryContext old_; \
		if (srf_ == NULL || !IsA(srf_, ReturnSetInfo) || \
			(srf_->allowedModes & SFRM_Materialize) == 0) \
			ereport(ERROR, \
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), \
					 errmsg("set-valued function called in context that cannot accept a set"))); \
		old_ = MemoryContextSwitchTo(srf_->econtext->ecxt_per_query_memory); \
		if (get_call_result_type(fcinfo, NULL, &srf_->setDesc) != TYPEFUNC_COMPOSITE) \
			elog(ERROR, "return type must be a row type"); \
		srf_->setResult = tuplestore_begin_heap((srf_->allowedModes & SFRM_Materialize_Random) != 0, \
												false, work_mem); \
		srf_->returnMode = SFRM_Materialize; \
		MemoryContextSwitchTo(old_); \
	} while (0)
#endif

/* 15: the timeline by a function; before, known to a process that may write; needs access/xlog.h */
#if PG_VERSION_NUM < 150000
#define saga_timeline() (ThisTimeLineID)
#else
#define saga_timeline() GetWALInsertionTimeLine()
#endif

/* 16: one object_aclcheck for all catalogs */
#if PG_VERSION_NUM < 160000
#define saga_proc_aclcheck(oid, role, mode) pg_proc_aclcheck(oid, role, mode)
#define saga_namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#define saga_database_aclcheck(oid, role, mode) pg_database_aclcheck(oid, role, mode)
#define saga_database_ownercheck(oid, role) pg_database_ownercheck(oid, role)
#define saga_extension_ownercheck(oid, role) pg_extension_ownercheck(oid, role)
#define saga_relation_ownercheck(oid, role) pg_class_ownercheck(oid, role)
#else
#define saga_proc_aclcheck(oid, role, mode) object_aclcheck(ProcedureRelationId, oid, role, mode)
#define saga_namespace_aclcheck(oid, role, mode) object_aclcheck(NamespaceRelationId, oid, role, mode)
#define saga_database_aclcheck(oid, role, mode) object_aclcheck(DatabaseRelationId, oid, role, mode)
#define saga_database_ownercheck(oid, role) object_ownercheck(DatabaseRelationId, oid, role)
#define saga_extension_ownercheck(oid, role) object_ownercheck(ExtensionRelationId, oid, role)
#define saga_relation_ownercheck(oid, role) object_ownercheck(RelationRelationId, oid, role)
#endif

/* 16: what a check hook leaves as "extra"; needs utils/guc.h */
#if PG_VERSION_NUM < 160000
#define saga_guc_malloc(size) malloc(size)
#else
#define saga_guc_malloc(size) guc_malloc(LOG, size)
#endif

/* 17: the transaction's number within this process; needs storage/proc.h */
#if PG_VERSION_NUM < 170000
#define saga_my_lxid() (MyProc->lxid)
#else
#define saga_my_lxid() (MyProc->vxid.lxid)
#endif

/* 17: whether a stronger lock counts; needs storage/lock.h */
#if PG_VERSION_NUM < 170000
#define saga_lock_held_by_me(tag, mode) LockHeldByMe(tag, mode)
#else
#define saga_lock_held_by_me(tag, mode) LockHeldByMe(tag, mode, false)
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

/* 16: membership and the right to SET ROLE are two things */
#if PG_VERSION_NUM >= 160000
#define saga_check_can_set_role(member, role) check_can_set_role(member, role)
#define saga_qualified_name_list(text) stringToQualifiedNameList(text, NULL)
#else
#define saga_check_can_set_role(member, role) check_is_member_of_role(member, role)
#define saga_qualified_name_list(text) stringToQualifiedNameList(text)
#endif

/* 18: pg_noreturn, in another place */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* 15: publications name schemas too; the relations of a publication's list, needs nodes/parsenodes.h */
#if PG_VERSION_NUM >= 150000
#define saga_publication_objects(stmt) ((stmt)->pubobjects)
#define saga_publication_relation(node) \
	(((PublicationObjSpec *) (node))->pubtable ? ((PublicationObjSpec *) (node))->pubtable->relation : NULL)
#else
#define saga_publication_objects(stmt) ((stmt)->tables)
#define saga_publication_relation(node) ((RangeVar *) (node))
#endif

/* 15: says why it failed (no MD5 under FIPS); needs common/md5.h */
#if PG_VERSION_NUM >= 150000
#define saga_md5_hash(data, len, hex, why) pg_md5_hash(data, len, hex, why)
#else
#define saga_md5_hash(data, len, hex, why) (*(why) = NULL, pg_md5_hash(data, len, hex))
#endif

/* In libpq/libpq.h, which asks for the headers of GSSAPI where the server was built with it. */
extern bool pq_check_connection(void);

#endif							/* SAGA_COMPAT_H */
