-- name: what was granted. Here, as it is about the tables of all kinds.
CREATE VIEW saga.grants WITH (security_barrier) AS
	SELECT g.kind, o.owner, o.name, g.role, g."right", g.granted_by, g.granted_at
	FROM saga.object_grant g
	JOIN (SELECT 'queue' AS kind, q.queue_id AS id, q.owner, q.name FROM saga.queue q WHERE q.kind = 'q'
		UNION ALL SELECT 'workflow', w.workflow_id, w.owner, w.name FROM saga.workflow w
		UNION ALL SELECT 'activity', a.queue_id, a.owner, substr(a.name, 10) FROM saga.queue a WHERE a.kind = 'a'
		UNION ALL SELECT 'destination', d.destination_id, d.owner, d.name FROM saga.destination d
		UNION ALL SELECT 'source', s.source_id, s.owner, s.name FROM saga.source s
		UNION ALL SELECT 'secret', c.secret_id, c.owner, c.name FROM saga.secret c) o
		ON o.kind = g.kind AND o.id = g.object_id
	WHERE pg_has_role(o.owner, 'USAGE') OR pg_has_role(g.role, 'USAGE');
COMMENT ON VIEW saga.grants IS 'rights that were granted with saga.grant: on what you own, and to you';
