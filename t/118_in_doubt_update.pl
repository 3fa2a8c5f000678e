# What version 0.1 left in doubt is in doubt after the update: its records, and the answers that executions
# have not read yet.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $node = new_saga_node('update', "pg_saga.databases = 'none'");

sql("CREATE EXTENSION pg_saga VERSION '0.1'");

# name => state, phase, uncertain, doubted, last_class, and the event in the queue
my %records = (
	lost => [ 'failed', 'send', 't', 't', 'fatal', 'error' ],
	unclear => [ 'failed', 'send', 'f', 'f', 'uncertain', 'error' ],
	refused => [ 'failed', 'send', 'f', 'f', 'fatal', 'error' ],
	done => [ 'delivered', 'send', 'f', 't', 'success', 'output' ],
	looked_up => [ 'waiting', 'send', 'f', 't', 'retry', undef ],
	busy => [ 'waiting', 'send', 'f', 'f', 'retry', undef ]);
foreach my $name (sort keys %records)
{
	my ($state, $phase, $uncertain, $doubted, $class, $event) = @{ $records{$name} };
	sql("INSERT INTO saga.outbox (destination_id, outbox_id, op, state, workflow_id, execution_id, task_id, idempotency_key, attempts, sends,
			phase, uncertain, doubted, last_class, created_at, first_sent_at, last_sent_at, request)
		SELECT 1, md5('$name')::uuid, 'h', '$state', 2, md5('x$name')::uuid, 3, md5('$name')::uuid, 2, 2, '$phase', '$uncertain', '$doubted',
			'$class', now(), now(), now(), '{}'");
	next unless $event;
	foreach my $table ('message (queue_id, id, message_id, target, sent_at, kind, body)', 'timer (queue_id, wake_at, message_id, target, sent_at, kind, body)')
	{
		my $second = $table =~ /^timer/ ? 'now()' : "md5('e$name')::uuid";
		sql("INSERT INTO saga.$table VALUES (2, $second, md5('e$name')::uuid, md5('x$name')::uuid, now(), 'e', '{\"task\": 3, \"$event\": \"x\"}')");
	}
}
sql('ALTER EXTENSION pg_saga UPDATE');
foreach my $table ('message', 'timer')
{
	my %said = map { split /\|/ } split /\n/, sql("SELECT n, body->'in_doubt' IS NOT NULL FROM saga.$table,
		unnest('{" . join(',', keys %records) . "}'::text[]) n WHERE kind = 'e' AND message_id = md5('e' || n)::uuid");
	is_deeply(\%said, { lost => 't', unclear => 't', refused => 'f', done => 'f' }, "saga.$table: an answer in doubt says so");
}
is(sql("SELECT string_agg(n || ' ' || uncertain, ', ' ORDER BY n) FROM saga.outbox, unnest('{looked_up,busy}'::text[]) n WHERE outbox_id = md5(n)::uuid"),
	'busy false, looked_up true', 'what was doubted is asked for before it is sent again');
$node->stop;
done_testing();
