# The whole road with workers, the accounting server and SNS: straight on, approved, rejected,
# cancelled, wrong and corrected, refused by the accounting and compensated.
use strict;
use warnings;

use JSON::PP;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

# the publisher finds the credentials in the server's environment
$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';

my $acc = start_accounting();
my $sns = start_fauxqs();
my $topic = $sns->setup('invoice-events', 'invoice-reader');
my $node = new_saga_node('invoice', 'pg_saga.workers = 2');
my $json = JSON::PP->new->canonical;

# An invoice; changes are members that replace others, or with undef take them away.
sub document
{
	my ($number, %change) = @_;
	my %document = (
		number => $number, issue_date => '2025-03-01', due_date => '2025-03-31', type_code => '380',
		currency => 'EUR',
		seller => { name => 'Lindqvist AB', vat_id => 'SE556677889901', address => { country => 'SE' } },
		buyer => { name => 'Weber GmbH', address => { country => 'DE' } },
		lines => [ { id => '1', name => 'Oak table', quantity => '2', unit_code => 'C62',
			unit_price => '149.90', vat_category => 'S', vat_rate => '25' } ],
		%change);
	delete $document{$_} foreach grep { !defined $document{$_} } keys %document;
	return $json->encode(\%document);
}

sub submit
{
	my $document = document(@_);
	return sql("SET ROLE shop; SELECT invoice_submit('$document')");
}

sub is_status
{
	my ($id, $status, $name) = @_;
	return ok(poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$id'", $status),
		$name // "becomes $status");
}

# What the accounting server has for a number: a word for each kind of document that stands.
sub books
{
	my ($number) = @_;
	my ($entry) = grep { $_->{number} eq $number } @{ $acc->audit->{numbers} };
	return $entry // {};
}

create_extensions($node);
sql(<<"SQL");
CREATE ROLE invoice_owner LOGIN;
CREATE ROLE shop;
CREATE ROLE clerk;
SELECT invoice_setup('invoice_owner');
GRANT EXECUTE ON FUNCTION invoice_submit(json), invoice_submit_batch(json) TO shop;
GRANT SELECT ON invoice_tracking, invoice_held, invoice_dlq TO clerk;
GRANT EXECUTE ON FUNCTION invoice_approve(uuid), invoice_reject(uuid, text), invoice_cancel(uuid),
	invoice_retry(uuid, json, boolean), invoice_violated_rules(text) TO clerk;
SELECT saga.create_destination(n, 'http', jsonb_build_object('url', '@{[ $acc->url ]}',
	'allow_private', true, 'base_ms', 50)) FROM unnest('{payments,accounting}'::text[]) n;
SELECT saga.create_destination('invoice-events', 'sns', jsonb_build_object('topic_arn', '$topic->{topic_arn}',
	'endpoint_url', '@{[ $sns->url ]}', 'allow_private', true, 'base_ms', 50));
SELECT saga.set_destination_owner(n, 'invoice_owner') FROM unnest('{payments,accounting,invoice-events}'::text[]) n;
SQL

# straight on
my $id = submit('A-1');
is_status($id, 'completed', 'an invoice without a warning is completed');
is(sql("SELECT attempts, currency, payable, error IS NULL, finished_at > submitted_at
		FROM invoice_tracking WHERE tracking_id = '$id'"), '1|EUR|374.75|t|t', 'and tracked');
my $books = books('A-1');
is_deeply([ @$books{qw(posted voided paid refunded)} ], [ 1, 0, 1, 0 ], 'paid and posted once')
  or diag(explain($books));
is(sql("SELECT status, settlement FROM invoice WHERE tracking_id = '$id'"), 'valid|payment', 'and saved');

my @messages = $sns->receive($topic->{queue_url}, 5);
is(scalar(grep { $json->encode($_) =~ /A-1/ } @messages), 1, 'and announced once') or diag(explain(\@messages));

# a credit note
$id = submit('K-1', type_code => '381');
is_status($id, 'completed', 'a credit note is completed');
$books = books('K-1');
is_deeply([ map { $books->{$_} // 0 } qw(posted paid credited) ], [ 0, 0, 1 ], 'it gives a credit') or diag(explain($books));

# held, and what a person says
my %held = map { $_ => submit($_, due_date => undef) } qw(H-approve H-reject H-cancel);
is_status($held{$_}, 'held', "$_ is held") foreach sort keys %held;
is(sql("SET ROLE clerk; SELECT string_agg(number || ' ' || reason || ' ' || payable, ', ' ORDER BY number) FROM invoice_held"),
	join(', ', map { "$_ BR-CO-25 374.75" } sort keys %held), 'listed for a clerk');
is($acc->audit->{numbers} && (grep { $_->{number} =~ /^H-/ } @{ $acc->audit->{numbers} }) ? 1 : 0, 0,
	'nothing of them has been sent');
sql("SET ROLE clerk; SELECT invoice_approve('$held{'H-approve'}')");
sql("SET ROLE clerk; SELECT invoice_reject('$held{'H-reject'}', 'ordered twice')");
sql("SET ROLE clerk; SELECT invoice_cancel('$held{'H-cancel'}')");
is_status($held{'H-approve'}, 'completed', 'approved: completed');
is_status($held{'H-reject'}, 'rejected', 'rejected');
is_status($held{'H-cancel'}, 'cancelled', 'cancelled');
is(sql("SET ROLE clerk; SELECT reason, cause, rules IS NULL, compensated FROM invoice_dlq WHERE number = 'H-reject'"),
	'InvoiceRejected|ordered twice|t|t', 'the reason is in the dead letter');

# wrong in itself, then corrected
$id = submit('W-1', currency => 'XXX1', lines => []);
is_status($id, 'failed', 'a wrong invoice fails');
is(sql("SET ROLE clerk; SELECT reason, rules, attempts, compensated FROM invoice_dlq WHERE tracking_id = '$id'"),
	'InvoiceInvalid|{BR-16,BR-CL-04}|1|t', 'with every violated rule');
sql("SET ROLE clerk; SELECT invoice_retry('$id', '@{[ document('W-1') ]}')");
is_status($id, 'completed', 'corrected: completed');
is(sql("SELECT attempts FROM invoice_tracking WHERE tracking_id = '$id'"), '2', 'at the second attempt');
is(sql("SELECT count(*) FROM invoice_dlq WHERE tracking_id = '$id'"), '0', 'and no dead letter any more');

# the accounting refuses: the payment is refunded
$acc->faults([ { method => 'POST', path => '/v1/invoices', number => '^C-1$', action => 'status', status => 422,
	body => { error => 'validation', details => 'no such account' } } ]);
$id = submit('C-1');
is_status($id, 'failed', 'refused by the accounting: failed');
is(sql("SELECT reason, attempts, compensated FROM invoice_dlq WHERE tracking_id = '$id'"),
	'States.Http.StatusCode.422|1|t', 'and compensated');
$books = books('C-1');
is_deeply([ map { $books->{$_} // 0 } qw(posted paid refunded) ], [ 0, 1, 1 ], 'paid and refunded') or diag(explain($books));
is(sql("SELECT status FROM invoice WHERE tracking_id = '$id'"), 'void', 'saved and void');
$acc->faults([]);
sql("SELECT invoice_retry('$id')");
is_status($id, 'completed', 'once the accounting takes it, a retry completes it');
$books = books('C-1');
is_deeply([ map { $books->{$_} // 0 } qw(posted voided paid refunded) ], [ 1, 0, 2, 1 ], 'paid again, posted once')
  or diag(explain($books));

# cancelled while the accounting is busy: what was done is undone
$acc->faults([ { method => 'POST', path => '/v1/invoices', number => '^S-1$', action => 'status', status => 503,
	headers => { 'retry-after' => '1' } } ]);
$id = submit('S-1');
poll_until($node, "SELECT current_step FROM invoice_tracking WHERE tracking_id = '$id'", 'Book the invoice');
sql("SET ROLE clerk; SELECT invoice_cancel('$id')");
is_status($id, 'cancelled', 'cancelled on its way');
$books = books('S-1');
is_deeply([ map { $books->{$_} // 0 } qw(posted paid refunded) ], [ 0, 1, 1 ], 'the payment came back') or diag(explain($books));

# one run of them all: the same batch twice is accepted once
$acc->faults([]);
my @batch = map { document(sprintf 'M-%03d', $_) } 1 .. 100;
my $batch = '[' . join(',', @batch) . ']';
is(sql("SET ROLE shop; SELECT count(DISTINCT i) FROM (SELECT invoice_submit_batch('$batch') AS i
		UNION ALL SELECT invoice_submit_batch('$batch')) b"), '100', 'a batch twice gives the same ids');
poll_until($node, "SELECT count(*) FROM invoice_tracking WHERE number LIKE 'M-%' AND status = 'completed'", '100');
my @numbers = grep { $_->{number} =~ /^M-/ } @{ $acc->audit->{numbers} };
is(scalar(grep { $_->{posted} == 1 && $_->{paid} == 1 } @numbers), 100, 'each is paid and posted once');
is(sql("SELECT count(*) FROM invoice_tracking WHERE status NOT IN ('completed', 'rejected', 'cancelled')"), '0',
	'nothing is left over');

$node->stop;
done_testing();
