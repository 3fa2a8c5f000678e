# The invoice workflow with a real ledger, Tryton, at its end: every accepted invoice is posted once,
# also when the ledger is killed in mid-run; what fails or is cancelled nets to zero; the trial
# balance is the sum of our invoices, per currency.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use Saga::Test qw(:DEFAULT sql);
use Saga::Tryton;

skip_without_tryton();
$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';

my $json = JSON::PP->new->canonical;
my $node = new_saga_node('tryton', 'pg_saga.workers = 2');
my $ledger;
create_extensions($node);

# Three currencies with two, no and three decimals; every fifth is a credit note; amounts that
# differ, two rates of VAT, an allowance.
sub document
{
	my ($n, %change) = @_;
	my ($currency, $price) = @{ ([ 'EUR', '149.99' ], [ 'JPY', '15001' ], [ 'KWD', '48.125' ])[ $n % 3 ] };
	return $json->encode({
		number => sprintf('T-%03d', $n), issue_date => sprintf('2025-%02d-15', 1 + $n % 12), due_date => '2026-02-28',
		type_code => $n % 5 ? '380' : '381', currency => $currency,
		seller => { name => 'Lindqvist AB', vat_id => 'SE556677889901', address => { country => 'SE' } },
		buyer => { name => 'Weber ' . $n % 4, address => { city => 'Bonn', country => 'DE' } },
		allowances => [ { amount => '10', reason => 'Loyalty', vat_category => 'S', vat_rate => '25' } ],
		lines => [
			{ id => '1', name => 'Oak table', quantity => "$n", unit_code => 'C62', unit_price => $price,
				vat_category => 'S', vat_rate => '25' },
			{ id => '2', name => 'Book', quantity => '1', unit_code => 'C62', unit_price => '7', vat_category => 'S',
				vat_rate => '6' } ],
		%change });
}

sub submit
{
	my ($document) = @_;
	return sql("SELECT invoice_submit('$document')");
}

# What we have, as the ledger would say it: {currency => {account => balance}}.
sub our_sums
{
	my %sums;
	foreach my $row (split /\n/, sql(<<'SQL'))
SELECT i.currency, sum(s * i.tax_inclusive), sum(- s * i.tax_exclusive), sum(- s * i.tax_total)
FROM invoice i, LATERAL (SELECT CASE WHEN i.type_code = '381' THEN -1 ELSE 1 END) AS f (s)
WHERE i.status = 'valid' GROUP BY i.currency
SQL
	{
		my ($currency, @amounts) = split /\|/, $row;
		@{ $sums{$currency} }{ 'Main Receivable', 'Main Revenue', 'Main Tax' } = @amounts;
	}
	return \%sums;
}

# The states of all that the ledger has under a number.
sub is_in_ledger
{
	my ($number, $expected, $name) = @_;
	return is(join(' ', map { $_->{state} } grep { $_->{number} eq $number } $ledger->invoices), $expected, $name);
}

sub is_balanced
{
	my ($name) = @_;
	my $balance = $ledger->balance;
	my $ours = our_sums();
	my %theirs;
	foreach my $currency (keys %$balance)
	{
		my $accounts = $balance->{$currency};
		my $expected = $ours->{$currency} // {};
		my @shown = grep { $accounts->{$_} =~ /[1-9]/ || exists $expected->{$_} } keys %$accounts;
		$theirs{$currency}{$_} = $accounts->{$_} foreach @shown;
	}
	is_deeply(\%theirs, $ours, $name) or diag(explain([ \%theirs, $ours ]));
	return;
}

my $acc = start_accounting();
my $sns = start_fauxqs();
my $topic = $sns->setup('invoice-events', 'invoice-reader');
my @documents = map { document($_) } 1 .. 24;
$ledger = Saga::Tryton->new($node, @documents);

sql(<<"SQL");
CREATE ROLE invoice_owner LOGIN;
SELECT invoice_setup('invoice_owner');
SELECT saga.create_destination('payments', 'http', '{"url": "@{[ $acc->url ]}", "allow_private": true}');
SELECT saga.create_destination('invoice-events', 'sns', jsonb_build_object('topic_arn', '$topic->{topic_arn}',
	'endpoint_url', '@{[ $sns->url ]}', 'allow_private', true));
SELECT saga.set_destination_owner(n, 'invoice_owner') FROM unnest('{payments,invoice-events}'::text[]) n;
SQL
$ledger->change_workflow('invoice_owner');

# one, all the way
my $id = submit($documents[0]);
ok(poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$id'", 'completed'), 'an invoice is completed');
is_in_ledger('T-001', 'posted', 'and posted in the ledger');
is(($ledger->invoices)[0]{total}, sql("SELECT tax_inclusive FROM invoice WHERE tracking_id = '$id'"), 'with our total');
is_balanced('the trial balance says so');

# posted, then cancelled before it is announced
sql("SELECT saga.pause_destination('invoice_owner.invoice-events')");
$id = submit(document(30));
ok(poll_until($node, "SELECT current_step FROM invoice_tracking WHERE tracking_id = '$id'", 'Announce'), 'one more is about to be announced');
is_in_ledger('T-030', 'posted', 'it is posted');
sql("SELECT invoice_cancel('$id')");
ok(poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$id'", 'cancelled'), 'cancelled');
is_in_ledger('T-030', 'cancelled', 'in the ledger too');
my ($cancelled) = grep { $_->{number} eq 'T-030' } $ledger->invoices;
ok($cancelled->{move} && $cancelled->{cancel_move}, 'by an entry that reverses the first');
sql("SELECT saga.resume_destination('invoice_owner.invoice-events')");

# refused by the ledger alone: no fiscal year has that date
$id = submit(document(31, issue_date => '1925-03-15', due_date => '1925-04-15'));
ok(poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$id'", 'failed'), 'a date before the books begin is refused');
is(sql("SELECT reason, compensated FROM invoice_dlq WHERE tracking_id = '$id'"), 'States.Http.StatusCode.400|t', 'by the ledger, and undone');
is_in_ledger('T-031', 'cancelled', 'its draft is cancelled');
is_balanced('cancelled and refused ones net to zero');

# the ledger is killed in mid-run
submit($_) foreach @documents[ 1 .. 19 ];
poll_until($node, "SELECT count(*) > 3 AND count(*) < 15 FROM invoice_tracking WHERE number LIKE 'T-0%' AND status = 'completed'");
$ledger->kill9;
submit($_) foreach @documents[ 20 .. 23 ];
poll_until($node, "SELECT count(*) > 0 FROM saga.outbox_attempt a JOIN saga.destination d USING (destination_id)
	WHERE d.name LIKE 'tryton%' AND a.status IS NULL");
$ledger->start;
ok(poll_until($node, "SELECT count(*) FROM invoice_tracking WHERE status IN ('queued', 'processing', 'undoing')", '0'),
	'killed and started again: everything ends');
is(sql('SELECT string_agg(DISTINCT status, \' \') FROM invoice_tracking WHERE number <= \'T-024\''), 'completed', 'completed, all of them');
my %posted;
$posted{ $_->{number} }++ foreach grep { $_->{state} ne 'cancelled' } $ledger->invoices;
is_deeply(\%posted, { map { sprintf('T-%03d', $_) => 1 } 1 .. 24 }, 'each is posted once');
is(scalar(grep { $_->{state} eq 'draft' } $ledger->invoices), 0, 'no draft stays');
is_balanced('the trial balance is the sum of our invoices in each currency');
unlike(sql('SELECT string_agg(o::text, \'\') || (SELECT string_agg(a::text, \'\') FROM saga.outbox_attempt a) FROM saga.outbox o'),
	qr/\Q@{[ $ledger->file('password') ]}\E/, 'the ledger\'s password is in no record');

$node->stop;
done_testing();
