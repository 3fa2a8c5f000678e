\echo Use "ALTER EXTENSION pg_invoice UPDATE" to load this file. \quit
-- From 0.1 to 0.2.
