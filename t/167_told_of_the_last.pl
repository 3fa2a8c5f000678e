# A look-up that found nothing allows the next request. It says nothing of that one: when it is lost with its publisher,
# or asked for anew long after, it is looked up again before it is sent.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $acc = start_accounting();
my $node = new_saga_node('main', 'pg_saga.publishers = 1', 'pg_saga.workers = 1', 'restart_after_crash = on');
create_extensions($node);

my @post = (method => 'POST', path => '/v1/invoices');
$acc->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [
	{ @post, action => 'drop_before', attempt => 1 },
	{ @post, action => 'delay', ms => 60000, at => 'after', number => 'lost', attempt => 2 } ] });

sub destination
{
	my ($name, $attempts) = @_;
	my $settings = $json->encode({ url => $acc->url('/v1/invoices'), allow_private => $true, timeout_ms => 90000, idempotency => { in => 'none' },
		retry => { max_attempts => $attempts, base_ms => 20, cap_ms => 50 },
		lookup => { url => '/v1/invoices?number={number}&seller={seller}', found => 'invoices[0]', delay_ms => 300 } });
	sql(qq(SELECT saga.create_destination('$name', 'http', \$json\$$settings\$json\$)));
	return;
}

sub document
{
	return { number => $_[0], currency => 'EUR', seller => 'S', buyer => 'B', total => '1.19', tax => '0.19', lines => [ { amount => '1.00' } ] };
}

sub publish { my ($name) = @_; return sql("SELECT saga.publish_to('$name', '" . $json->encode(document($name)) . "')") }
sub posted { my ($number) = @_; my ($entry) = grep { $_->{number} eq $number } @{ $acc->audit->{numbers} }; return $entry->{posted} // 0 }
sub requests { my ($number) = @_; return join(' ', map { $_->{method} } grep { ($_->{number} // '') eq $number } @{ $acc->audit->{requests} }) }
sub ends { return sql("SELECT concat_ws(' ', state, outcome, outcome_by) FROM saga.outbox o JOIN saga.destination d USING (destination_id) WHERE d.name = '$_[0]'") }
sub not_waiting { return poll_until($node, "SELECT count(*) FROM saga.outbox WHERE state = 'waiting'", '0') }

# ---------- lost with its publisher ----------

destination('lost', 5);
publish('lost');
ok(wait_until(sub { posted('lost') == 1 }), 'the look-up found nothing, and the next request has its effect');
my $pid = sql("SELECT pid FROM saga.workers WHERE type = 'publisher' AND pid IS NOT NULL");
kill_process($pid);
poll_until($node, 'SELECT true');
not_waiting();
# on record are those that failed and were not lost
is(sql(q{SELECT string_agg(attempt || ' ' || phase, ', ' ORDER BY attempt) || ' of ' || (SELECT attempts FROM saga.outbox) FROM saga.outbox_attempt}),
	'1 send, 2 lookup of 4',
	'it is looked up before anything else');
is(posted('lost') . ' ' . ends('lost'), '1 delivered done lookup', 'and found');

# ---------- asked for anew ----------

destination('late', 1);
publish('late');
not_waiting();
is(requests('late') . ' ' . ends('late'), 'POST GET failed no_effect lookup', 'given up when the look-up found nothing');
$acc->request('POST', '/v1/invoices', document('late'));
is(posted('late'), 1, 'which has its effect after all');
is(sql('SELECT count(saga.redrive(dead_letter_id)) FROM saga.dead_letters'), '1', 'redriven');
not_waiting();
is(posted('late') . ' ' . ends('late'), '1 delivered done lookup', 'it is looked up first');

$node->stop;
done_testing();
