# Work that waits for an owner who cannot run is done by the one to whom the workflow is given, at once;
# reasons for waiting are forgotten when nothing waits any more, so that their table is not full for ever.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $node = new_saga_node('given', 'pg_saga.sweep_interval = 0');

sub reasons { return q{SELECT count(*) FROM saga.workers WHERE reason IS NOT NULL} }

sql('CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach 'app', 'heir';
add_workflow($node, 'postgres', 'app', 'wf');
add_workflow($node, 'postgres', 'heir', 'other');
sql('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO heir');
sql(q{SELECT pg_terminate_backend(pid) FROM saga.workers WHERE type = 'worker' AND pid IS NOT NULL});
sql(q{SELECT saga.start_execution('app.wf', '{"x": 1}')});
ok(poll_until($node, reasons(), '1'), 'an execution waits, with a reason');

sql('SET pg_saga.keep_owners = off; DROP OWNED BY app; DROP ROLE app');
ok(poll_until($node, q{SELECT count(*) FROM saga.workers WHERE reason LIKE '%does not exist%'}, '1'), 'its owner is dropped');
sql(q{SELECT saga.set_workflow_owner(
	(SELECT owner::oid || '.wf' FROM saga.workflows WHERE name = 'wf'), 'heir',
	(SELECT definition_hash FROM saga.workflows WHERE name = 'wf'))});
ok(poll_until($node, q{SELECT count(*) FROM done WHERE x = 1 AND who = 'heir'}, '1'), 'the heir runs it, without a sweep');
ok(poll_until($node, reasons(), '0'), 'and the reason is gone');

# ---------- an extension that is dropped takes its reasons along ----------

add_role($node, 'postgres', 'poor');
sql('REVOKE CONNECT ON DATABASE postgres FROM poor');
add_workflow($node, 'postgres', 'poor', 'waits');
sql(q{SELECT saga.start_execution('poor.waits', '{"x": 2}')});
ok(poll_until($node, reasons(), '1'), 'another one waits, with a reason');
sql('DROP EXTENSION pg_saga; CREATE EXTENSION pg_saga');
ok(poll_until($node, reasons(), '0'), 'none is left of an extension that was dropped');

$node->stop;
done_testing();
