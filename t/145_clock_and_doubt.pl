# What is in doubt stays so when the server's clock is set: a look-up waits its time by the real clock, and a key is
# no younger than it is.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Clock;
use Saga::Test qw(:DEFAULT sql);

my $accounting = start_accounting();
my $node = new_saga_node('clock', { start => 0 }, 'pg_saga.workers = 1', 'pg_saga.publishers = 1');
start_with_clock($node);
create_extensions($node);
my $json = JSON::PP->new->canonical;

sub destination
{
	my ($name, %more) = @_;
	my $settings = $json->encode({ url => $accounting->url('/v1/invoices'), allow_private => JSON::PP::true, timeout_ms => 500,
		base_ms => 100, cap_ms => 300, max_attempts => 1000, capture => { remote_id => 'id' },
		compensate => { url => '/v1/invoices/{remote_id}/void' }, %more });
	return sql("SELECT saga.create_destination('$name', 'http', '$settings')");
}

sub document { return "jsonb_build_object('number', '$_[0]', 'currency', 'EUR', 'seller', 'S', 'buyer', 'B', 'total', '1.19', 'tax', '0.19', 'lines', '[{\"amount\": \"1.00\"}]'::jsonb)" }

sub books
{
	my ($number) = @_;
	my ($entry) = grep { $_->{number} eq $number } @{ $accounting->audit->{numbers} };
	return join(' ', map { ($entry // {})->{$_} // 0 } qw(posted voided));
}

sub requests { return scalar @{ $accounting->audit->{requests} } }
sub records { return "SELECT $_[1] FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'" }

# ---------- ahead: the server is at the request still ----------

my %lookup = (url => '/v1/invoices?number={number}', found => 'invoices[0]', capture => { remote_id => 'invoices[0].id' }, delay_ms => 15000);
$accounting->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [
	map { { method => 'POST', path => '/v1/invoices', number => "^$_", action => 'delay', ms => 6000, at => 'before', times => 1 } } 'wanted', 'unwanted' ] });
destination('looks', idempotency => { in => 'none' }, lookup => \%lookup);
sql(<<'SQL');
SELECT saga.create_workflow('unwanted', '{"StartAt": "Book", "States": {
	"Book": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "TimeoutSeconds": 1, "Compensate": "Void", "End": true,
		"Parameters": {"ApiEndpoint": "saga:looks", "RequestBody.$": "$"}},
	"Void": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "saga:looks", "Operation": "compensate",
		"RequestBody.$": "$.input.RequestBody", "Captured.$": "$.output.Captured"}}}}');
SQL
sql("SELECT saga.publish_to('looks', @{[ document('wanted') ]}), saga.start_execution('unwanted', @{[ document('unwanted') ]})");
poll_until($node, records('looks', q{count(*) = 2 AND bool_and(uncertain)}));
poll_until($node, records('looks', 'count(unwanted_since)'), '1');
set_clock(3600);
ok(poll_until($node, records('looks', 'count(*)') . " AND op <> 'c' AND state = 'waiting'", '0'), 'with the clock an hour ahead it is found out');
ok(poll_until($node, "SELECT count(*) FROM saga.executions WHERE status = 'FAILED'", '1'), 'and undone');
is(books('wanted'), '1 0', 'what was wanted was done once');
is(books('unwanted'), '1 1', 'what was not was found, and undone');
set_clock(0);

# ---------- back: the server forgets the key meanwhile ----------

# the key is known for a minute and a half, of which one is kept free; the service has a clock of its own
my $before = requests();
$accounting->faults({ modes => { duplicate => 'allow' }, rules => [ { method => 'POST', path => '/v1/invoices', action => 'drop_after' } ] });
destination('keys', idempotency => { ttl_s => 90 });
sql("SELECT saga.create_queue('ticks')");
sql("SELECT saga.publish_to('keys', @{[ document('keys') ]})");
ok(wait_until(sub { requests() >= $before + 2 }), 'sent again under its key');
set_clock(-150);
ok(wait_until(sub {
	# due at once, not when the clock is there again; the other one wakes the coordinator
	sql("UPDATE saga.timer SET wake_at = clock_timestamp(); SELECT saga.send('ticks', '{}', delay => '0.01 s')");
	return sql(records('keys', q{concat_ws(' ', state, outcome)})) eq 'failed in_doubt' }), 'with the clock set back it is in doubt in the end');
my @at = map { $_->{at} } grep { ($_->{number} // '') eq 'keys' || ($_->{path} // '') eq '/v1/invoices' } @{ $accounting->audit->{requests} }[ $before .. requests() - 1 ];
cmp_ok($at[-1] - $at[0], '<', 90_000, 'and was not sent again when the server may have forgotten the key');
cmp_ok(scalar @at, '>=', 2, 'though before');
set_clock(0);

$node->stop;
done_testing();
