# Limits that hold over all publishers: requests at once, per second and per minute, pauses, the
# breaker, slow start; several publishers side by side, and a dead destination beside a good one.
# Sessions that CALL saga.publish() are publishers like the others, and are there when the test wants.
use strict;
use warnings;

use File::Temp;
use IO::Socket::INET;
use IPC::Run qw(start finish);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use Saga::Test qw(:DEFAULT sql wait_until_up);

my $dir = File::Temp->newdir('saga-limits-XXXXXX', TMPDIR => 1);
my $accounting = start_accounting();
my $node = new_saga_node('main', 'restart_after_crash = on', 'pg_saga.publishers = 3');
create_extensions($node);

sub destination
{
	my ($name, $limits, %settings) = @_;
	my $json = encode_json({
		url => $accounting->url('/v1/invoices'), allow_private => ['127.0.0.0/8'], base_ms => 20, cap_ms => 200,
		max_attempts => 100, limits => $limits, %settings });
	sql("SELECT saga.create_destination('$name', 'http', '$json')");
	return;
}

sub publish
{
	my ($to, $n) = @_;
	sql("SELECT count(saga.publish_to('$to', jsonb_build_object('number', '$to-' || i, 'currency', 'EUR', 'seller', 'S',
		'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb)))
		FROM generate_series(1, $n) i");
	return;
}

sub waiting
{
	my ($to, $n) = @_;
	return poll_until($node, "SELECT count(*) <= $n FROM saga.outbox o JOIN saga.destination d USING (destination_id)
		WHERE d.name = '$to' AND o.state = 'waiting'");
}

sub of_view { return sql("SELECT concat_ws(' ', $_[1]) FROM saga.destinations WHERE name = '$_[0]'") }

# What a destination's messages have: one column as an aggregate.
sub of_messages
{
	my ($to, $what) = @_;
	return sql("SELECT $what FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$to'");
}

# All starts of requests that have ended, as the publishers noted them, in seconds.
sub starts
{
	my ($to) = @_;
	return [ split /\n/, sql("SELECT extract(epoch FROM at) FROM (
			SELECT last_sent_at AS at FROM saga.outbox o JOIN saga.destination d USING (destination_id)
			WHERE d.name = '$to' AND state = 'delivered'
			UNION ALL SELECT started_at FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id)
			WHERE d.name = '$to') s ORDER BY at") ];
}

sub busiest
{
	my ($times, $seconds) = @_;
	my ($from, $most) = (0, 0);
	foreach my $i (0 .. $#$times)
	{
		$from++ while $times->[$i] - $times->[$from] >= $seconds;
		$most = $i - $from + 1 if $i - $from + 1 > $most;
	}
	return $most;
}

sub more_publishers
{
	my ($n) = @_;
	return map { start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'CALL saga.publish()' ],
			'<', \'', '>', \my $out, '2>', \my $err) } 1 .. $n;
}

# ---------- requests at once ----------

destination('narrow', { concurrency => 3 });
$accounting->faults([ { action => 'delay', ms => 50, at => 'before' } ]);
sql("SELECT saga.pause_destination('narrow')");
publish('narrow', 90);
sql("SELECT saga.resume_destination('narrow')");
my @more = more_publishers(3);
waiting('narrow', 0);
finish($_) foreach @more;
my $client = $accounting->audit->{clients}{anonymous};
is($client->{max_concurrent}, 3, 'as many at once as allowed, over all publishers');
is(of_messages('narrow', "string_agg(DISTINCT state || attempts, ' ')"), 'delivered1', 'each was sent once');

# ---------- per second ----------

destination('rated', { concurrency => 8, per_second => 20 });
$accounting->reset;
publish('rated', 100);
@more = more_publishers(2);
waiting('rated', 0);
finish($_) foreach @more;
my $starts = starts('rated');
cmp_ok(busiest($starts, 1), '<=', 20, 'no second has more requests than allowed');
cmp_ok($starts->[-1] - $starts->[0], '<', 20, 'and the limit is used');
note(sprintf('100 requests in %.2f s, at best 5.2', $starts->[-1] - $starts->[0]));
$client = $accounting->audit->{clients}{anonymous};
# the server may have been kept from its work for a while
cmp_ok($client->{max_per_second}, '<=', 30, 'the server saw no more either');
is(of_messages('rated', "string_agg(DISTINCT state || attempts, ' ')"), 'delivered1', 'each was sent once');

# ---------- per minute, and a restart ----------

destination('minutely', { per_minute => 6 });
destination('free', {});
publish('minutely', 10);
waiting('minutely', 4);
$node->restart;
publish('free', 1);
waiting('free', 0);
@more = more_publishers(2);
finish($_) foreach @more;
is(of_view('minutely', 'waiting, retrying, in_flight, started_last_minute'), '4 0 0 6', 'the minute is over for none but the clock');
is(of_messages('minutely', "count(*) FILTER (WHERE state = 'waiting' AND attempts = 0)"), '4', 'what waits has no attempt');
sql(q(SELECT saga.alter_destination('minutely', jsonb_set(settings, '{limits,per_minute}', '600')) FROM saga.destination
	WHERE name = 'minutely'));
waiting('minutely', 0);
is(of_messages('minutely', "string_agg(DISTINCT state || attempts, ' ')"), 'delivered1', 'a higher limit holds at once');

# ---------- Retry-After ----------

destination('busy', { concurrency => 5 });
$accounting->reset;
$accounting->faults([ { number => '^busy', nth => 5, action => '429', retry_after => 3 } ]);
publish('busy', 60);
poll_until($node, q(SELECT state FROM saga.destinations WHERE name = 'busy'), 'held');
is(of_view('busy', 'reason, breaker, hold_until > now()'), 'the server asked for a pause closed t', 'a pause of the whole destination');
waiting('busy', 0);
my $asked = sql("SELECT extract(epoch FROM ended_at) FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id)
	WHERE d.name = 'busy' AND status = 429");
my @early = grep { $_ > $asked + 0.5 && $_ < $asked + 3 } @{ starts('busy') };
is(scalar @early, 0, 'in which nothing is sent');
my @late = grep { $_ > $asked + 3 } @{ starts('busy') };
cmp_ok(scalar @late, '>', 0, 'what waited was sent after it');
is(of_messages('busy', "string_agg(DISTINCT state || attempts, ' ')"), 'delivered1 delivered2', 'and only one needed two attempts')
  or diag(of_messages('busy', 'string_agg(attempts::text, \' \')'));
is(of_messages('busy', 'sum(attempts)'), '61', 'one attempt more than messages');

# ---------- the breaker ----------

destination('sick', { concurrency => 4, breaker => { window_s => 60, min_requests => 4, failure_share => 0.5, open_s => 2 } });
$accounting->faults([ { number => '^sick', action => 'status', status => 500 } ]);
publish('sick', 20);
poll_until($node, q(SELECT breaker FROM saga.destinations WHERE name = 'sick'), 'open');
is(of_view('sick', 'state, reason, paused'), 'held too many requests failed f', 'the breaker opens');
like(of_view('sick', 'last_error'), qr/^States\.Http\.StatusCode\.500/, 'the last error is told');
poll_until($node, q(SELECT opened >= 3 FROM saga.destination_state s JOIN saga.destination d USING (limit_key) WHERE d.name = 'sick'));
my @sick = @{ starts('sick') };
# what was in flight when it opened, and then one at a time
my @probes = grep { $sick[$_] - $sick[ $_ - 1 ] >= 1.9 } 1 .. $#sick;
cmp_ok(scalar @probes, '>=', 2, 'then one request is tried again and again');
is($probes[-1] - $probes[0], $#probes, 'alone each time') or diag("@sick");
$accounting->faults([]);
waiting('sick', 0);
is(of_view('sick', 'state, breaker, reason'), 'open closed', 'and it closes');
is(of_messages('sick', "sum(attempts) = count(*) + (SELECT count(*) FROM saga.outbox_attempt a
	WHERE a.destination_id = min(o.destination_id))"), 't', 'nobody had an attempt that was no request');

# ---------- credentials ----------

destination('locked', {}, headers => { Authorization => "Basic {secret:file:$dir/key}" }, max_attempts => 100);
publish('locked', 5);
poll_until($node, q(SELECT reason FROM saga.destinations WHERE name = 'locked'), 'credentials were refused');
append_to_file("$dir/key", "YTpi\n");
waiting('locked', 0);
is(of_view('locked', 'state, breaker'), 'open closed', 'credentials that come later');

# ---------- paused ----------

destination('still', {});
sql("SELECT saga.pause_destination('still')");
publish('still', 5);
publish('free', 1);
waiting('free', 0);
is(of_view('still', 'state, reason, waiting'), 'paused saga.pause_destination 5', 'paused');
is(of_messages('still', 'sum(attempts)'), '0', 'a pause takes no attempt');
sql("SELECT saga.resume_destination('still')");
waiting('still', 0);
is(of_messages('still', "string_agg(DISTINCT state || attempts, ' ')"), 'delivered1', 'resumed');

# ---------- slow start ----------

destination('slow', { concurrency => 10, slow_start_s => 3 });
$accounting->reset;
$accounting->faults([ { action => 'delay', ms => 100, at => 'before' } ]);
sql("SELECT saga.pause_destination('slow')");
publish('slow', 150);
sql("SELECT saga.resume_destination('slow')");
waiting('slow', 0);
my $from = sql("SELECT extract(epoch FROM slow_from) * 1000 FROM saga.destination_state s JOIN saga.destination d USING (limit_key)
	WHERE d.name = 'slow'");
my @requests = grep { ($_->{number} // '') =~ /^slow/ } @{ $accounting->audit->{requests} };
my @over = grep { $_->{concurrent} > 1 + 9 * ($_->{at} - $from) / 3000 } @requests;
is(scalar @over, 0, 'after a pause, from one request up to all of them')
  or diag(join("\n", map { $_->{concurrent} . ' after ' . ($_->{at} - $from) } @over));
my ($most) = sort { $b <=> $a } map { $_->{concurrent} } @requests;
cmp_ok($most, '>=', 5, 'many at the end');
cmp_ok($most, '<=', 10, 'and no more than allowed');

# ---------- two destinations, one group ----------

destination($_, { group => 'tenant', concurrency => 2 }) foreach 'left', 'right';
$accounting->reset;
$accounting->faults([ { action => 'delay', ms => 30, at => 'before' } ]);
sql("SELECT saga.pause_destination('$_')") foreach 'left', 'right';
publish('left', 300);
publish('right', 300);
sql("SELECT saga.resume_destination('left'), saga.resume_destination('right')");
@more = more_publishers(2);
waiting($_, 0) foreach 'left', 'right';
finish($_) foreach @more;
$client = $accounting->audit->{clients}{anonymous};
is($client->{max_concurrent}, 2, 'a group has its limit in common');
my ($left, $right) = (starts('left'), starts('right'));
cmp_ok($right->[20], '<', $left->[-1], 'and each member has its turn');
cmp_ok($left->[20], '<', $right->[-1], 'the other one too');

# ---------- several publishers ----------

# It takes connections, and never answers.
sub silent { return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1024) || die "no socket: $!" }
my $wide = silent();
my $dead = silent();
my $dead_url = 'http://127.0.0.1:' . $dead->sockport . '/';
destination('wide', { concurrency => 1000 }, url => 'http://127.0.0.1:' . $wide->sockport . '/', timeout_ms => 600000);
publish('wide', 400);
poll_until($node, q(SELECT in_flight >= 300 FROM saga.destinations WHERE name = 'wide'));
is(sql(q(SELECT count(DISTINCT t.lease) FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id
	WHERE d.name = 'wide')), '3', 'what is too much for one publisher is done by three');
sql("SELECT saga.pause_destination('wide')");
# a publisher that is not needed waits for its answers: now there are some
close($wide);

# ---------- a dead destination beside a good one ----------

$accounting->faults([]);
$node->append_conf('postgresql.conf', 'pg_saga.publishers = 1');
$node->reload;
poll_until($node, q(SELECT count(*) <= 1 FROM saga.workers WHERE type = 'publisher'));
destination("dead$_", { concurrency => 1000 }, url => $dead_url, timeout_ms => 600000) foreach 1 .. 3;
publish("dead$_", 300) foreach 1 .. 3;
poll_until($node, q(SELECT count(*) = 3 FROM saga.destinations WHERE name LIKE 'dead%' AND in_flight > 5));
destination('good', {});
publish('good', 200);
waiting('good', 0);
is(sql("SELECT count(*) FROM saga.destinations WHERE name LIKE 'dead%' AND in_flight > 5 AND last_error IS NULL"), '3',
	'three destinations hang and a fourth is served');

# ---------- places of a publisher that is gone ----------

sql("SELECT saga.pause_destination(name) FROM saga.destination WHERE name LIKE 'dead%'");
destination('hung', { concurrency => 1 }, url => $dead_url, timeout_ms => 600000);
publish('hung', 2);
my $in_flight = "SELECT max(t.receives) FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id
	WHERE d.name = 'hung' AND t.lease IS NOT NULL HAVING count(*) = 1";
poll_until($node, $in_flight, '1');
my $pid = sql("SELECT pid FROM saga.workers WHERE type = 'publisher'");
sql("SELECT pg_terminate_backend($pid)");
wait_for_exit($pid);
my $again = "SELECT count(*) = 1 AND bool_and(l.granted) FROM saga.timer t JOIN saga.destination d ON d.destination_id = t.queue_id
	JOIN pg_locks l ON l.locktype = 'advisory' AND l.objsubid = 21319
		AND l.objid::bigint = (t.lease & 4294967295) AND l.classid::bigint = (t.lease >> 32)
	WHERE d.name = 'hung' AND t.lease IS NOT NULL AND l.pid <> $pid";
poll_until($node, $again);
pass('terminated: its place is free, another one sends');
$pid = sql("SELECT pid FROM saga.workers WHERE type = 'publisher'");
kill_process($pid);
wait_until_up();
$again =~ s/<> [0-9]+/<> $pid/;
poll_until($node, $again);
pass('killed: the same');
poll_until($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 21321", '1');
pass('one place is taken');
close($dead);
my $url = $accounting->url('/v1/invoices');
sql("SELECT saga.alter_destination('hung', jsonb_set(settings, '{url}', to_jsonb('$url'::text))) FROM saga.destination
	WHERE name = 'hung'");
waiting('hung', 0);
is(of_messages('hung', "string_agg(DISTINCT state, ' ')"), 'delivered', 'and all is sent in the end');

$node->stop;
done_testing();
