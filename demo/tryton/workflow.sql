-- Sends bookings to Tryton: two destinations, and the states of the workflow that book. Variables:
-- url, where Tryton's database is served; password, a file with that of the outbox's user;
-- destinations and states, the contents of the .json files; owner, the owner of the workflow.

-- Address and password are this run's own; the second destination is like the first.
SELECT saga.create_destination(d->>'name', 'http', CASE WHEN d ? 'like' THEN d ELSE
		jsonb_set(jsonb_set(d, '{request,url}', to_jsonb(:'url'::text)), '{auth,password}',
			to_jsonb(format('{secret:file:%s}', :'password'))) END)
	FROM jsonb_array_elements(:'destinations'::jsonb) WITH ORDINALITY AS a (d, n) ORDER BY n;
SELECT saga.set_destination_owner(d->>'name', :'owner') FROM jsonb_array_elements(:'destinations'::jsonb) AS d;

SELECT saga.create_workflow('invoice', jsonb_set(d, '{States}',
		((d->'States') - '{Book the invoice,Void the booking,Book the credit note,Void the credit note}'::text[])
		|| :'states'::jsonb), :'owner'::regrole)
	FROM invoice_definition() AS d;
