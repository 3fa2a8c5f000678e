# Whoever was granted the use of something can leave a transaction open in which he used it, or prepare it.
# Its owner does not wait for him without end, and whoever else uses it does not wait behind the owner.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;
use Saga::Work;

my $node = new_saga_node('main', "pg_saga.databases = 'none'");
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach qw(alice mallory carol);

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub as { my ($role, $sql) = @_; return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]) }
sub says
{
	my ($role, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ], on_error_stop => 1);
	return $rc == 0 ? "done" : $err;
}

as('alice', q{
	SELECT saga.create_queue('q'), saga.create_queue('q2');
	SELECT saga.create_workflow('w', '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}');
	SELECT saga.create_destination(d, 'http', '{"url": "https://a.invalid/"}') FROM unnest('{d,d2}'::text[]) d;
	SELECT saga.set_secret('s', 'x');
	SELECT saga.grant('queue', q, r, 'use'), saga.grant('queue', q, r, 'operate') FROM unnest('{q,q2}'::text[]) q, unnest('{mallory,carol}'::regrole[]) r;
	SELECT saga.grant('workflow', 'w', r, 'start') FROM unnest('{mallory,carol}'::regrole[]) r;
	SELECT saga.grant('destination', d, r, 'use'), saga.grant('destination', d, r, 'operate') FROM unnest('{d,d2}'::text[]) d, unnest('{mallory,carol}'::regrole[]) r;
	SELECT saga.grant('secret', 's', r, 'use') FROM unnest('{mallory,carol}'::regrole[]) r});
sql('CREATE ROLE heir; GRANT heir TO alice');

my $secret = q(SELECT saga.create_destination('own', 'http', '{"url": "https://b.invalid/", "auth": {"type": "bearer", "token": "{secret:alice.s}"}}'));
my $mallory = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'mallory' ]);
my $alice = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'alice' ]);
my $in_use = qr/ERROR:  (\w+) "\w+" is in use by transactions that have not ended\n.*HINT:.*pg_prepared_xacts/s;

# what she holds, what the owner does, what carol does meanwhile
my @kinds = (
	[ q(SELECT saga.send('alice.q', '{}')), q(SELECT saga.drop_queue('q')), q(SELECT saga.send('alice.q', '{}')) ],
	[ q(SELECT * FROM saga.receive('alice.q')), q(SELECT saga.drop_queue('q')), q(SELECT saga.send('alice.q', '{}')) ],
	[ q(SELECT saga.start_execution('alice.w')), q(SELECT saga.set_workflow_owner('w', 'heir')), q(SELECT saga.start_execution('alice.w')) ],
	[ q(SELECT saga.publish_to('alice.d', '{}')), q(SELECT saga.drop_destination('d')), q(SELECT saga.publish_to('alice.d', '{}')) ],
	[ q(SELECT saga.pause_destination('alice.d2')), q(SELECT saga.drop_destination('d2')), q(SELECT saga.publish_to('alice.d2', '{}')) ],
	[ q(SELECT saga.pause_destination('alice.d2')), q(SELECT saga.alter_destination('d2', '{"timeout_ms": 2000}')), q(SELECT saga.publish_to('alice.d2', '{}')) ],
	[ q(SELECT saga.pause_destination('alice.d2')), q(SELECT saga.set_destination_owner('d2', 'heir')), q(SELECT saga.publish_to('alice.d2', '{}')) ],
	[ $secret, q(SELECT saga.drop_secret('s')), $secret ]);

my $waits = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'alice' AND state = 'active' AND query LIKE '%";

like($mallory->query_safe("BEGIN; $kinds[0][0]"), qr/-/, 'somebody has sent, and goes on');
like(says('alice', "SET statement_timeout = '120s'; $kinds[0][1]"), qr/$in_use.*than 5000 ms/s, 'by itself the owner does not wait for long');
$mallory->query_safe('ROLLBACK');

foreach my $prepared (0, 1)
{
	foreach my $kind (@kinds)
	{
		my ($hold, $change, $meanwhile) = @{$kind};
		my $what = ($prepared ? 'prepared, ' : 'open, ') . $change;

		$mallory->query_safe("BEGIN; $hold");
		$mallory->query_safe("PREPARE TRANSACTION 'mallory'") if $prepared;
		like(says('alice', "SET statement_timeout = '120s'; SET lock_timeout = '300ms'; $change"), $in_use, "$what: the owner is told");

		# he may also wait
		$alice->query_until(qr/begun/, "\\echo begun\nSET lock_timeout = '170s';\nBEGIN;\n$change;\n");
		my ($word) = $change =~ /(saga\.\w+)/;
		poll_until($node, "$waits$word%'", '1');
		is(says('carol', "SET lock_timeout = '60s'; BEGIN; $meanwhile; ROLLBACK"), 'done', "$what: others go on") foreach 1 .. 3;
		is(sql("$waits$word%'"), '1', "$what: while he waits");
		$prepared ? sql("ROLLBACK PREPARED 'mallory'") : $mallory->query_safe('ROLLBACK');
		unlike($alice->query('ROLLBACK'), qr/in use/, "$what: and then he has it");
	}
}

$mallory->quit;
$alice->quit;
$node->stop;

# ---------- all locks that the server has, which anybody can take ----------

# Nothing starts meanwhile. When they are free again, our processes go on by themselves.
$node = new_saga_node('locks', 'max_locks_per_transaction = 10', 'max_connections = 20', 'pg_saga.sweep_interval = 0');
sql('CREATE EXTENSION pg_saga; CREATE ROLE stranger LOGIN');
add_role($node, 'postgres', 'alice');
add_workflow($node, 'postgres', 'alice', 'wf');
as('alice', q{SELECT saga.create_workflow('waits', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 2, "Next": "Work"},
	"Work": {"Type": "Task", "Resource": "sql:public.work", "End": true}}}')});
submit($node, 'postgres', 'wf', 1);
wait_done($node, 'postgres', 1);
$mallory = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'stranger' ]);
my $fill = q{DO $$ DECLARE i bigint := 0; BEGIN LOOP BEGIN PERFORM pg_advisory_lock(i); i := i + 1;
	EXCEPTION WHEN out_of_memory THEN EXIT; END; END LOOP; END $$};
my $offset = -s $node->logfile;
submit($node, 'postgres', 'waits', 2, 3);
$mallory->query($fill);
wait_for_log($node, qr/\[\d+\] ERROR:  out of shared memory/, $offset);
$mallory->quit;
wait_done($node, 'postgres', 3);
submit($node, 'postgres', 'wf', 4);
wait_done($node, 'postgres', 4);
pass('our processes go on when the locks are free again');

$node->stop;
done_testing();
