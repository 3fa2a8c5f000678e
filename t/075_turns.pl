# Owners take turns: one with very many timers, or very large ones, makes only his own late; and one
# whose timers or messages raise, or wait for something, holds up nobody else.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Work;

my $accounting = start_accounting();
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'pg_saga.workers = 2', 'autovacuum = off',
	'pg_saga.payload_limit = 0');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
add_role($node, 'postgres', $_) foreach 'alice', 'mallory';

sub as { my ($role, $sql) = @_; return sql("SET SESSION AUTHORIZATION $role; $sql") }
sub messages { return "SELECT count(*) FROM saga.message JOIN saga.queue USING (queue_id) WHERE name LIKE '$_[0]'" }

as('alice', q(SELECT saga.create_queue('alice')));
poll_until($node, q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_saga coordinator'), '1');

# What mallory sends is due first, and what alice sends after it, when the coordinator begins to look. Positions in
# the queues are in the order in which they were moved: how many of hers came before alice's?
my $stopped;
END { kill('CONT', $stopped) if $stopped }

sub before_alice
{
	my ($like, $number, $send) = @_;
	my $pid = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_saga coordinator'));

	$stopped = $pid;
	kill('STOP', $pid) or die "could not stop $pid: $!";
	as('mallory', $send);
	as('alice', q(SELECT saga.send('alice', '{}', '1 ms')));
	poll_until($node, q(SELECT max(wake_at) < clock_timestamp() FROM saga.timer));
	kill('CONT', $pid) or die "could not let $pid go on: $!";
	$stopped = undef;
	poll_until($node, messages($like), $number);
	poll_until($node, messages('alice'), '1');
	my $before = sql("SELECT count(*) FROM saga.message JOIN saga.queue USING (queue_id) WHERE name LIKE '$like'
		AND id < (SELECT id FROM saga.message JOIN saga.queue USING (queue_id) WHERE name = 'alice')");
	as('alice', q(SELECT saga.purge('alice')));
	sql("SELECT saga.drop_queue(name) FROM saga.queue WHERE name LIKE '$like'");
	return $before;
}

as('mallory', q(SELECT saga.create_queue('many')));
cmp_ok(before_alice('many', 20000, q(SELECT saga.send_batch('many', array_fill('{}'::jsonb, ARRAY[20000]), '1 ms'))),
	'<', 3000, 'twenty thousand timers of one queue');

as('mallory', q(SELECT saga.create_queue('q' || n) FROM generate_series(1, 200) n));
cmp_ok(before_alice('q%', 10000, q(SELECT count(*) FROM generate_series(1, 200) n, LATERAL saga.send_batch('q' || n, array_fill('{}'::jsonb, ARRAY[50]), '1 ms'))),
	'<', 3000, 'ten thousand timers of two hundred queues');

ok(poll_until($node, q(SELECT idx_scan > 200 FROM pg_stat_all_indexes WHERE indexrelname = 'timer_queue_wake_at')),
	'each queue is looked at by itself');

# 3 MB each, that cannot be compressed
as('mallory', q(SELECT saga.create_queue('large')));
cmp_ok(before_alice('large', 20, q(WITH t AS MATERIALIZED (SELECT string_agg(md5(random()::text), '') t FROM generate_series(1, 100000))
	SELECT saga.send('large', to_jsonb(t.t), '1 ms') FROM t, generate_series(1, 20))),
	'<', 10, 'sixty megabytes of one queue');

# Twenty megabytes in one timer are not the coordinator's, who would be at each of them for a second or more: they
# wait for her own session, and in a workflow her own worker moves them.
my $huge = q(WITH t AS MATERIALIZED (SELECT string_agg(md5(random()::text), '') t FROM generate_series(1, 655360)));
as('mallory', q(SELECT saga.create_queue('huge')));
as('mallory', "$huge SELECT saga.send('huge', to_jsonb(t.t), '1 ms') FROM t, generate_series(1, 5)");
foreach (1 .. 3)
{
	as('alice', q(SELECT saga.send('alice', '{}', '100 ms')));
	ok(poll_until($node, messages('alice'), '1'), "timers of twenty megabytes: alice's come, $_");
	as('alice', q(SELECT saga.purge('alice')));
}
is(sql(messages('huge')), '0', "timers of twenty megabytes: mallory's are not moved for her");
is(as('mallory', q(SELECT count(*), min(length(body::text)) > 20000000 FROM saga.receive('huge', 10, '1 ms'))), '5|t', 'her session has them when it asks');
my $waits = $node->background_psql('postgres');
$waits->query_safe('SET SESSION AUTHORIZATION mallory');
is($waits->query_safe(q(SELECT count(*) FROM saga.receive('huge', 10, '1 ms', '20 s'))) > 0, 1, 'again, when the lease is over, and it waits');
$waits->quit;
as('mallory', q(SELECT saga.purge('huge')));

as('mallory', q(SELECT saga.create_workflow('parks', '{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "P"},
	"P": {"Type": "Pass", "Result": 1, "End": true}}}')));
as('mallory', "$huge SELECT saga.start_execution('parks', to_jsonb(t.t)) FROM t, generate_series(1, 2)");
ok(poll_until($node, q(SELECT count(*) FROM saga.executions WHERE workflow = 'parks' AND status = 'SUCCEEDED'), '2'), 'a parked state of twenty megabytes goes on');

# ---------- one whose rows cannot be written, or wait for a lock ----------

sql(q(CREATE TABLE gate (); GRANT SELECT ON gate TO mallory, alice));
sql(<<'SQL');
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_ARGV[0] = 'raise' THEN
		RAISE 'not this one';
	END IF;
	LOCK TABLE public.gate IN ACCESS SHARE MODE;
	RETURN NEW;
END $$;
SQL

my $person = $node->background_psql('postgres');

as('mallory', q(SELECT saga.create_queue('faulty')));
my $faulty = sql(q(SELECT queue_id FROM saga.queue WHERE name = 'faulty'));
foreach my $fault ('raise', 'wait')
{
	my $offset = -s $node->logfile;
	sql("CREATE TRIGGER fault BEFORE INSERT ON saga.message FOR EACH ROW WHEN (new.queue_id = $faulty) EXECUTE FUNCTION fault('$fault')");
	$person->query_safe('BEGIN; LOCK TABLE gate') if $fault eq 'wait';
	as('mallory', q(SELECT saga.send('faulty', '{}', '1 ms') FROM generate_series(1, 3)));
	wait_for_log($node, qr/timers of the queues of role \d+ are put aside/, $offset);
	foreach (1 .. 3)
	{
		as('alice', q(SELECT saga.send('alice', '{}', '100 ms')));
		ok(poll_until($node, messages('alice'), '1'), "timers, $fault: alice's come, $_");
		as('alice', q(SELECT saga.purge('alice')));
	}
	is(sql(messages('faulty')), '0', "timers, $fault: mallory's do not");
	$person->query_safe('ROLLBACK') if $fault eq 'wait';
	sql('DROP TRIGGER fault ON saga.message');
	ok(poll_until($node, messages('faulty'), '3'), "timers, $fault: until they can");
	as('mallory', q(SELECT saga.purge('faulty')));
}

# ---------- the same of messages that are being claimed ----------

my %id;
foreach my $owner ('alice', 'mallory')
{
	my $json = encode_json({ url => $accounting->url('/v1/invoices'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 50 });
	sql("SELECT saga.create_destination('$owner', 'http', '$json'); SELECT saga.set_destination_owner('$owner', '$owner')");
	$id{$owner} = sql("SELECT destination_id FROM saga.destination WHERE name = '$owner'");
}

my $number = 0;

sub publish
{
	my ($to) = @_;
	$number++;
	return as($to, "SELECT saga.publish_to('$to', jsonb_build_object('number', 'N$number', 'currency', 'EUR', 'seller', 'S',
		'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb))");
}

foreach my $fault ('raise', 'wait')
{
	my $offset = -s $node->logfile;
	sql("CREATE TRIGGER fault BEFORE INSERT ON saga.timer FOR EACH ROW WHEN (new.queue_id = $id{mallory}) EXECUTE FUNCTION fault('$fault')");
	$person->query_safe('BEGIN; LOCK TABLE gate') if $fault eq 'wait';
	my $hers = publish('mallory');
	wait_for_log($node, qr/destination $id{mallory} is put aside/, $offset);
	foreach (1 .. 3)
	{
		my $message = publish('alice');
		ok(poll_until($node, "SELECT state FROM saga.outbox WHERE outbox_id = '$message'", 'delivered'), "messages, $fault: alice's are sent, $_");
	}
	is(sql("SELECT state FROM saga.outbox WHERE outbox_id = '$hers'"), 'waiting', "messages, $fault: mallory's are not");
	$person->query_safe('ROLLBACK') if $fault eq 'wait';
	sql('DROP TRIGGER fault ON saga.timer');
	ok(poll_until($node, "SELECT state FROM saga.outbox WHERE outbox_id = '$hers'", 'delivered'), "messages, $fault: until they can");
}

$person->quit;
$node->stop;
done_testing();
