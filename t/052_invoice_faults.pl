# An accounting server that fails at random, and processes killed in mid-run: every invoice ends, is
# paid and booked once or not at all, and no idempotency key takes effect twice. Then a dump taken in
# mid-run, whose restored copy finishes the work.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use Saga::Test;

$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';

my $seed = 7;
my @paths = map { { method => 'POST', path => $_ } } '/^\/v1\/(payments|credits)$/', '/^\/v1\/(invoices|credit-notes)$/';
# no garbled answers: these calls have no look-up, and what was done is not sent again for its answer
my @faults = (
	{ probability => 0.10, action => 'status', status => 500 },
	{ probability => 0.10, action => '429', retry_after => 1, times => 5 },
	{ probability => 0.10, action => 'drop_before' },
	{ probability => 0.10, action => 'drop_after' },
	{ probability => 0.05, action => 'half_response' },
	{ probability => 0.05, action => 'status', status => 503 });
my @plan = map { my $where = $_; map { { %$where, %$_ } } @faults } @paths;
# for these the accounting's answer is final
unshift @plan, { method => 'POST', path => '/^\/v1\/(invoices|credit-notes)$/', number => '^X-', action => 'status', status => 422 };

my $acc = start_accounting(seed => $seed, faults => \@plan);
my $sns = start_fauxqs();
my $topic = $sns->setup('invoice-events', 'invoice-reader');
my $node = new_saga_node('faults', 'pg_saga.workers = 2', 'restart_after_crash = on', 'pg_saga.crash_limit = 20',
	"pg_saga.databases = 'postgres,copy'");
diag("seed $seed");

create_extensions($node);
$node->safe_psql('postgres', <<"SQL");
CREATE ROLE invoice_owner LOGIN;
SELECT invoice_setup('invoice_owner');
SELECT saga.create_destination(n, 'http', jsonb_build_object('url', '@{[ $acc->url ]}', 'allow_private', true,
	'base_ms', 20, 'cap_ms', 200, 'max_attempts', 15)) FROM unnest('{payments,accounting}'::text[]) n;
SELECT saga.create_destination('invoice-events', 'sns', jsonb_build_object('topic_arn', '$topic->{topic_arn}',
	'endpoint_url', '@{[ $sns->url ]}', 'allow_private', true, 'base_ms', 20));
SELECT saga.set_destination_owner(n, 'invoice_owner') FROM unnest('{payments,accounting,invoice-events}'::text[]) n;
CREATE FUNCTION submit(prefix text, n int) RETURNS bigint LANGUAGE sql AS \$\$
	SELECT count(invoice_submit(json_build_object('number', prefix || '-' || g, 'issue_date', '2025-03-01',
		'due_date', '2025-03-31', 'type_code', CASE g % 5 WHEN 0 THEN '381' ELSE '380' END, 'currency', 'EUR',
		'seller', '{"name": "Lindqvist AB", "vat_id": "SE556677889901", "address": {"country": "SE"}}'::json,
		'buyer', '{"name": "Weber GmbH", "address": {"country": "DE"}}'::json,
		'lines', json_build_array(json_build_object('id', '1', 'name', 'Oak table', 'quantity', g, 'unit_code', 'C62',
			'unit_price', '149.90', 'vat_category', 'S', 'vat_rate', '25')))))
	FROM generate_series(1, n) g \$\$;
SQL

sub submit { return $node->safe_psql('postgres', "SELECT submit('$_[0]', $_[1])") }

# kill -9 while something of a group is done and something is not
sub kill_in_midrun
{
	my ($type, $prefix) = @_;
	poll_until($node, "SELECT count(*) > 5 FROM invoice_tracking WHERE number LIKE '$prefix-%' AND status = 'completed'");
	my $pid = $node->safe_psql('postgres',
		"SELECT pid FROM saga.workers WHERE type = '$type' AND database = 'postgres' LIMIT 1");
	ok($pid && kill(9, $pid), "kill -9 of a $type");
	wait_for_exit($pid);
	poll_until($node, 'SELECT 1', '1');
	return;
}

is(submit('X', 10), 10, 'submitted what the accounting will refuse');
# a request that is lost in flight is in doubt, and what is refused after that is not known to be undone
ok(poll_until($node, q(SELECT count(*) FROM invoice_tracking WHERE number LIKE 'X-%' AND status = 'failed'), '10'), 'which it does');
is(submit('A', 80), 80, 'and more');
kill_in_midrun('publisher', 'A');
is(submit('B', 80), 80, 'after the restart more');
kill_in_midrun('worker', 'B');
is(submit('C', 40), 40, 'and more');
poll_until($node, "SELECT count(*) > 5 FROM invoice_tracking WHERE number LIKE 'C-%' AND status = 'completed'");
$node->stop('immediate');
$node->start;
ok(poll_until($node, q{SELECT count(*) FROM invoice_tracking WHERE status IN ('queued', 'processing', 'undoing')}, '0'),
	'after an immediate stop everything ends');

is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status || ' ' || left(number, 1), ', ' ORDER BY status || ' ' || left(number, 1))
	FROM invoice_tracking}), 'completed A, completed B, completed C, failed X', 'completed, but for what was refused');
is($node->safe_psql('postgres', 'SELECT count(*), bool_and(compensated) FROM invoice_dlq'), '10|t', 'which is compensated');

my $audit = $acc->audit;
is(scalar(grep { $_->{effects} > 1 } @{ $audit->{keys} }), 0, 'no key took effect twice');
my %stands;
foreach my $n (@{ $audit->{numbers} })
{
	my $settled = $n->{paid} - $n->{refunded} + $n->{credited} - $n->{reversed};
	my $booked = $n->{posted} - $n->{voided} + $n->{credit_notes} - $n->{credit_notes_voided};
	$stands{ substr($n->{number}, 0, 1) . " settled $settled booked $booked" }++;
}
is_deeply(\%stands, { 'A settled 1 booked 1' => 80, 'B settled 1 booked 1' => 80, 'C settled 1 booked 1' => 40,
		'X settled 0 booked 0' => 10 }, 'everything is paid and booked once, what was refused not at all')
  or diag(explain(\%stands));
ok(scalar(grep { $_->{fault} } @{ $audit->{requests} }) > 50, 'there were faults');
my $due = $node->safe_psql('postgres', q{SELECT sum(tax_inclusive) FILTER (WHERE type_code = '380'), sum(tax_inclusive) FILTER (WHERE type_code = '381')
	FROM invoice WHERE status = 'valid'});
is("$audit->{ledger}{EUR}{invoices}|$audit->{ledger}{EUR}{credit_notes}", $due, 'the books say what the tables say');

# a dump in mid-run: held, queued and done ones
$acc->faults([]);
$node->safe_psql('postgres', q{SELECT saga.pause_destination('invoice_owner.payments')});
submit('D', 20);
$node->safe_psql('postgres', q{SELECT invoice_submit('{"number": "E-1", "issue_date": "2025-03-01", "type_code": "380", "currency": "EUR",
	"seller": {"name": "Lindqvist AB", "vat_id": "SE556677889901", "address": {"country": "SE"}},
	"buyer": {"name": "Weber GmbH", "address": {"country": "DE"}}, "lines": [{"id": "1", "name": "Oak table", "quantity": "1",
	"unit_code": "C62", "unit_price": "149.90", "vat_category": "S", "vat_rate": "25"}]}')});
poll_until($node, q{SELECT string_agg(DISTINCT status, ' ') FROM invoice_tracking WHERE number ~ '^[DE]' AND current_step IN ('Pay', 'Credit', 'Hold')
	HAVING count(*) = 21}, 'held processing');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-h', $node->host, '-p', $node->port, 'postgres' ], 'pg_dump in mid-run');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'psql', '-X', '-q', '-h', $node->host, '-p', $node->port, '-d', 'copy', '--single-transaction',
		'-v', 'ON_ERROR_STOP=1', '-f', $dump ], 'restored in one transaction');
$node->safe_psql('copy', q{SELECT invoice_approve(tracking_id) FROM invoice_held});
$node->safe_psql('copy', q{SELECT saga.resume_destination('invoice_owner.payments')});
ok(poll_until($node, q{SELECT count(*) FILTER (WHERE status = 'completed'), count(*) FROM invoice_tracking WHERE number !~ '^X'},
		'221|221', 'copy'), 'the copy finishes the work');

$node->stop;
done_testing();
