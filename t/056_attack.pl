# What an ordinary role leaves in a database of 0.1 does not keep the administrator from updating it.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use Saga::Test qw(:DEFAULT sql);

my $node = new_saga_node('attack_update', "pg_saga.databases = 'none'");

sql("CREATE EXTENSION pg_saga VERSION '0.1'; CREATE ROLE mallory LOGIN; CREATE ROLE alice LOGIN");
# Up to version 14 a role may give itself to another, also to one that is reserved; later an administrator may.
$node->safe_psql('postgres', 'GRANT mallory TO pg_monitor',
	$node->safe_psql('postgres', "SELECT current_setting('server_version_num')::integer < 150000") eq 't' ? (extra_params => [ '-U', 'mallory' ]) : ());
sql('GRANT mallory TO alice');

# the rows that saga.create_queue, create_destination, bind_resource and create_workflow of 0.1 made
sql(<<'SQL');
CREATE FUNCTION noise(bytes integer) RETURNS text LANGUAGE sql AS
	$$ SELECT left(string_agg(md5(i::text), ''), bytes) FROM generate_series(1, bytes / 32 + 1) i $$;
INSERT INTO saga.queue (queue_id, name, kind, owner) OVERRIDING SYSTEM VALUE
	VALUES (1, 'q', 'q', 'mallory'), (4, 'destination/ours', 'd', 'postgres'), (5, 'ours', 'w', 'postgres'), (2, 'destination/d', 'd', 'mallory'), (3, 'w', 'w', 'mallory');
INSERT INTO saga.destination (destination_id, name, kind, owner, settings) VALUES (2, 'd', 'http', 'mallory', '{"url": "https://d.invalid/"}'),
	(4, 'ours', 'http', 'postgres', '{"url": "https://d.invalid/"}');
INSERT INTO saga.resource (created_by, arn, resource) VALUES ('mallory', 'arn:' || noise(2600), 'sql:pg_catalog.to_jsonb');
INSERT INTO saga.workflow (workflow_id, name, owner, version) VALUES (3, 'w', 'mallory', 1), (5, 'ours', 'postgres', 1);
-- her URL is in front of a superuser's too, who has her privileges as well
INSERT INTO saga.workflow_version (workflow_id, version, created_by, definition) VALUES (5, 1, 'postgres', '{"StartAt": "A", "States": {"A": {"Type": "Task", "End": true,
	"Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "https://d.invalid/pay", "Method": "GET"}}}}');
INSERT INTO saga.workflow_version (workflow_id, version, created_by, definition) VALUES (3, 1, 'mallory', jsonb_build_object('StartAt', 'A', 'States', jsonb_build_object(
	'A', jsonb_build_object('Type', 'Task', 'Resource', 'arn:aws:states:::http:invoke', 'Next', 'B',
		'Parameters', jsonb_build_object('ApiEndpoint', 'https://d.invalid/' || noise(9000), 'Method', 'GET')),
	'B', jsonb_build_object('Type', 'Task', 'Resource', 'arn:aws:states:::http:invoke', 'Next', 'C',
		'Parameters', jsonb_build_object('ApiEndpoint', 'https://d.invalid/short', 'Method', 'GET')),
	'C', jsonb_build_object('Type', 'Task', 'Resource', 'arn:' || noise(2600), 'End', true))));
SQL

my ($rc, $out, $err) = $node->psql('postgres', 'ALTER EXTENSION pg_saga UPDATE');
unlike($err, qr/ERROR|FATAL/, 'a long endpoint, a long ARN and a member that is reserved do not stop the update');
like($err, qr/^DETAIL:  ALTER ROLE alice IN DATABASE postgres SET pg_saga\.owner_path = '"\$user", mallory';$/m, 'and what members relied on is named');
is(sql('SELECT referrer_id, kind, name, object_id FROM saga.reference ORDER BY 1'), "3|destination|https://d.invalid/short|2\n5|destination|https://d.invalid/pay|4",
	'what fits is known by its id, and of two one\'s own');
is(sql('SELECT count(*) FROM pg_db_role_setting'), '0', 'as it is for the administrator to decide');

$node->stop;
done_testing();
