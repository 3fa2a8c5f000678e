# Services that fail at random: every invoice succeeds, or fails and is compensated.
use strict;
use warnings;

use Test::More;
use Saga::Test;
use Saga::Invoices;

my $seed = Saga::Invoices::seed();
my $road = Saga::Invoices->new(seed => $seed, conf => ['pg_saga.publishers = 2']);

# About half of all requests are spoilt; for numbers with X the accounting's answer is final. None is
# garbled: that it was done is known then, and without a look-up the rest is for a person to find out.
$road->faults(
	{ method => 'POST', path => '/^.v1.(invoices|credit-notes)$/', number => '^X', action => 'status', status => 422 },
	{ probability => 0.08, action => 'status', status => 500 },
	{ probability => 0.04, action => '429', retry_after => 1 },
	{ probability => 0.04, action => 'delay', ms => 700 },
	{ probability => 0.04, action => 'delay', ms => 700, at => 'after' },
	{ probability => 0.04, action => 'status', status => 503 },
	{ probability => 0.08, action => 'half_response' },
	{ probability => 0.08, action => 'drop_before' },
	{ probability => 0.08, action => 'drop_after' },
	{ probability => 0.04, action => 'drop_after', reset => JSON::PP::true });

# What is announced last fails for numbers with Z: all of it is undone.
$road->sns->request('POST', '/_faults', [
	{ action => 'fail_entry', match => '"Z-', code => 'InvalidParameter', sender_fault => JSON::PP::true },
	{ action => 'refuse', match => '"Z-', code => 'InvalidParameter', status => 400 },
	{ action => 'drop_after', match => 'A-1', times => 2 },
	{ action => 'refuse', match => 'A-2', code => 'Throttling', status => 400, times => 3 },
	{ action => 'omit_entry', match => 'A-3', times => 2 } ]);

is($road->submit('A', 100), 100, 'submitted');
is($road->submit('X', 20), 20, 'and what the accounting refuses');
is($road->submit('Z', 20), 20, 'and what cannot be announced');
ok($road->wait_ended, 'all end');

is($road->sql(q{SELECT string_agg(DISTINCT left(number, 1) || ' ' || status, ', ') FROM invoice_tracking}),
	'A completed, X failed, Z failed', 'as they should');
my $audit = $road->reckon(140);

# the test is one only if there was something to stand
my %faults;
$faults{$_}++ foreach map { @{ $_->{fault} } } @{ $audit->{requests} };
cmp_ok($faults{$_} // 0, '>', 0, "there was $_") foreach qw(status 429 delay half_response drop_before drop_after);
cmp_ok(scalar(grep { $_->{requests} > 1 && $_->{effects} == 1 } @{ $audit->{keys} }), '>', 50,
	'and many requests were made again');
my $most = $road->sql('SELECT max(attempts) FROM saga.outbox');
note("at most $most attempts");

$road->node->stop;
done_testing();
