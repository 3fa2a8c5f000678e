-- Both extensions are there, in their schemas, and PUBLIC may run nothing of the engine.
SELECT extname, nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
 WHERE extname LIKE 'pg\_%' ORDER BY 1;
