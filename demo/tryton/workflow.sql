-- Sends bookings to Tryton: two destinations, and the states of the workflow that book. Variables:
-- url, where Tryton's database is served; basic, a file with the outbox user's name and password
-- as HTTP Basic takes them; states, the content of states.json; owner, the owner of the workflow.

SELECT saga.create_destination(name, 'http', jsonb_build_object('url', :'url', 'allow_private', true,
		'headers', jsonb_build_object('Authorization', format('Basic {secret:file:%s}', :'basic')),
		'idempotency_header', '', 'concurrency', 2, 'timeout_ms', 30000, 'connect_timeout_ms', 2000,
		'max_attempts', 12, 'cap_ms', 5000))
	FROM unnest(ARRAY['tryton_create', 'tryton_post']) AS name;
SELECT saga.set_destination_owner(name, :'owner') FROM unnest(ARRAY['tryton_create', 'tryton_post']) AS name;

SELECT saga.create_workflow('invoice', jsonb_set(d, '{States}',
		((d->'States') - '{Book the invoice,Void the booking,Book the credit note,Void the credit note}'::text[])
		|| :'states'::jsonb))
	FROM invoice_definition() AS d;
