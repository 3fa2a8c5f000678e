# An invoice whose payment was lost, or could not be refunded, keeps its number: whatever way the next one of
# that number comes, it is not paid before somebody has found out.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $acc = start_accounting();
my $node = new_saga_node('main', 'pg_saga.workers = 2');
my $id = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

sub error { my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]"); return $err }

create_extensions($node);
sql(<<"SQL");
CREATE ROLE invoice_owner LOGIN;
SELECT invoice_setup('invoice_owner');
SELECT saga.create_destination(n, 'http', jsonb_build_object('url', '@{[ $acc->url ]}', 'allow_private', true, 'base_ms', 20, 'cap_ms', 100,
	'max_attempts', 1, 'timeout_ms', 60000, 'idempotency', '{"in": "none"}'::jsonb)) FROM unnest('{payments,accounting}'::text[]) n;
SELECT saga.set_destination_owner(n, 'invoice_owner') FROM unnest('{payments,accounting}'::text[]) n;
GRANT EXECUTE ON FUNCTION saga.create_workflow(text, jsonb), invoice_definition() TO invoice_owner;
SET SESSION AUTHORIZATION invoice_owner;
SELECT saga.create_workflow('invoice', jsonb_set(invoice_definition(), '{States,Announce}', '{"Type": "Pass", "Next": "Done"}'));
SQL

# The payment is made, and its answer dropped; that of C is late, and lost in the same way.
my @lost = map { { number => $_, method => 'POST', path => '/v1/payments', action => 'drop_after', attempt => 1 } }
  qw(skipped refused buried settled both zz forced closed retried);
my @late = ({ number => 'cancelled', method => 'POST', path => '/v1/payments', action => 'delay', ms => 3000, at => 'after' },
	{ number => 'cancelled', method => 'POST', path => '/v1/payments', action => 'drop_after', attempt => 1 });
my @stands = ({ number => 'stands', method => 'POST', path => '/v1/invoices', action => 'status', status => 422 },
	{ method => 'POST', path => '/refund$/', action => 'status', status => 422 });
sub faults { return $acc->faults({ modes => { duplicate => 'allow', idempotency => 'none' }, rules => [@_] }) }
faults(@lost, @late, @stands);

# due: the same invoice with another due date is another document
sub document
{
	my ($number, $due) = @_;
	return $json->encode({
		number => $number, issue_date => '2025-03-01', due_date => $due // '2025-03-31', type_code => '380', currency => 'EUR',
		seller => { name => 'Lindqvist AB', vat_id => 'SE556677889901', address => { country => 'SE' } },
		buyer => { name => 'Weber GmbH', address => { country => 'DE' } },
		lines => [ { id => '1', name => 'Oak table', quantity => '2', unit_code => 'C62', unit_price => '149.90', vat_category => 'S', vat_rate => '25' } ] });
}
sub changed { return document($_[0], '2025-04-30') }
sub submit { return sql("SELECT invoice_submit('$_[0]')") }

sub paid
{
	my ($number) = @_;
	my ($entry) = grep { $_->{number} eq $number } @{ $acc->audit->{numbers} };
	return sprintf '%d/%d', $entry->{paid} // 0, $entry->{refunded} // 0;
}

sub becomes
{
	my ($tracking, $status) = @_;
	return poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$tracking'", $status);
}

sub message { return sql("SELECT x->>'message_id' FROM invoice_submission s JOIN saga.executions e USING (execution_id), jsonb_array_elements(e.not_compensated) x
	WHERE s.tracking_id = '$_[0]'") }
sub settle { my ($tracking, $outcome) = @_; return sql("SELECT saga.settle('" . message($tracking) . "'::uuid, '$outcome')") }

my $refused = qr/ERROR:  23505: invoice "\w+" of this seller was already submitted with other content as $id, of which something may still stand
DETAIL:  It ended without success, and this has not been undone: Pay \(nobody knows whether it is there, message ($id)\)\.
HINT:  Find out what became of it and say so with saga\.settle/;

my %first = map { $_ => submit(document($_)) } map { $_->{number} } @lost;
becomes($_, 'failed') foreach values %first;
is(sql("SELECT count(*) FROM invoice_dlq WHERE NOT compensated"), scalar(keys %first), 'what was paid is not known');
is(join(' ', map { paid($_) } sort keys %first), join(' ', ('1/0') x keys %first), 'but it was paid, each once');

# ---------- refused on each way ----------

like(error("SELECT invoice_retry('$first{refused}')"), qr/has not been undone completely/, 'it is not tried again');
is(submit(document('refused')), $first{refused}, 'the same document is the same invoice');
my $error = error("SELECT invoice_submit('@{[ changed('refused') ]}')");
like($error, $refused, 'another document of its number is refused');
is($error =~ $refused ? $1 : '', message($first{refused}), 'with the message to settle');
like($error, qr/as $first{refused},.*invoice_retry\('$first{refused}', document, force => true\)/s, 'and the invoice');
like(error("SELECT invoice_submit_batch('[@{[ changed('refused') ]}]')"), qr/23505: document 0 of the batch: invoice "refused".*DETAIL:  It ended.*Nothing of the batch/s, 'so in a batch');
is(sql("SELECT index, tracking_id IS NOT NULL, error ~ 'may still stand: It ended .*Pay' FROM invoice_submit_batch('[@{[ changed('skipped') ]}, @{[ document('beside') ]}]', 'skip')"),
	"0|f|t\n1|t|", 'or is left out of it');
is(sql("SELECT index, tracking_id IS NOT NULL, error ~ 'may still stand' FROM invoice_submit_batch('[@{[ changed('buried') ]}]', 'dead_letter')"), '0|f|t', 'or buried');
poll_until($node, "SELECT reason, cause ~ 'buried.*may still stand' FROM invoice_dlq WHERE tracking_id IS NULL", 'SQL.23505|t');
like(error("SELECT invoice_retry(invoice_submit('@{[ document('unlike') ]}'), '@{[ changed('refused') ]}')"), qr/55000/, 'a live one is not corrected');
my $empty = submit($json->encode({ number => 'empty', seller => { name => 'Lindqvist AB', vat_id => 'SE556677889901' } }));
becomes($empty, 'failed');
like(error("SELECT invoice_retry('$empty', '@{[ changed('refused') ]}')"), $refused, 'nor another one into its number');

# a number that looks alike
my $alike = submit(document('ZZ'));
becomes($alike, 'held');
like(sql("SELECT messages::text FROM invoice_held WHERE number = 'ZZ'"), qr/INV-DUPLICATE .*\\"zz\\" \($first{zz}; may still stand: Pay \(nobody knows whether it is there\)\)/,
	'one that looks alike is held, and says what may stand');
is(paid($_), '1/0', "$_ was paid once") foreach sort keys %first;
is(paid('ZZ'), '0/0', 'what is held is not paid');

# cancelled while its payment was under way
my $cancelled = submit(document('cancelled'));
ok(wait_until(sub { paid('cancelled') eq '1/0' }), 'a payment is under way');
sql("SELECT invoice_cancel('$cancelled')");
becomes($cancelled, 'cancelled');
like(error("SELECT invoice_submit('@{[ changed('cancelled') ]}')"), $refused, 'one that was cancelled in flight keeps its number');

# ---------- settled ----------

settle($first{settled}, 'no_effect');
my $second = submit(changed('settled'));
becomes($second, 'completed');
ok($second ne $first{settled}, 'nothing is there: the number is free');
like(error("SELECT invoice_retry('$first{settled}')"), qr/has taken its place/, 'and taken');

settle($first{retried}, 'no_effect');
is(sql("SELECT invoice_retry('$first{retried}')"), $first{retried}, 'or the invoice is tried again');
becomes($first{retried}, 'completed');
like(error("SELECT invoice_submit('@{[ changed('retried') ]}')"), qr/23505: invoice "retried" of this seller was already submitted with other content as $first{retried}\n/,
	'and keeps its number for good');

# paid, booking and refund refused
my $stands = submit(document('stands'));
becomes($stands, 'failed');
like(error("SELECT invoice_submit('@{[ changed('stands') ]}')"), qr/23505: .*has not been undone: Pay \(done, message $id\)/s, 'what stands keeps its number');
faults();
settle($stands, 'done');
poll_until($node, "SELECT not_compensated IS NULL FROM saga.executions WHERE execution_id = '$stands'", 't');
is(paid('stands'), '1/1', 'until it is refunded');
becomes(submit(changed('stands')), 'completed');

# by force; and closed, which leaves it open who was paid
is(sql("SELECT invoice_retry('$first{forced}', '@{[ changed('forced') ]}', force => true)"), $first{forced}, 'by force it is tried again, corrected');
becomes($first{forced}, 'completed');
sql("SELECT saga.settle('$first{closed}'::uuid, 'unknown')");
my $closed = submit(changed('closed'));
becomes($closed, 'held');
like(sql("SELECT messages::text FROM invoice_held WHERE tracking_id = '$closed'"), qr/INV-DUPLICATE .*\($first{closed}; may still stand: Pay/, 'closed: the next one is held');
is(paid('closed'), '1/0', 'and not paid');
sql("SELECT invoice_reject('$closed', 'it was paid')");
becomes($closed, 'rejected');
becomes(submit(document('CLOSED')), 'held');
becomes(submit(document('closed', '2025-05-31')), 'held');

# ---------- at the same time ----------

my $session = $node->background_psql('postgres', on_error_stop => 1);
my $message = message($first{both});
$session->query_safe("BEGIN; SELECT saga.settle('$message'::uuid, 'no_effect')");
like(error("SELECT invoice_submit('@{[ changed('both') ]}')"), $refused, 'beside a person who is settling it, it is not free yet');
$session->query_safe('COMMIT');
$session->query_safe("BEGIN; SELECT invoice_submit('@{[ changed('both') ]}')");
like(error("SET lock_timeout = '100ms'; SELECT invoice_submit('@{[ document('both', '2025-05-31') ]}')"), qr/55P03/, 'of two that take the number one waits');
$session->query_safe('COMMIT');
like(error("SELECT invoice_submit('@{[ document('both', '2025-05-31') ]}')"), qr/23505: invoice "both" of this seller was already submitted with other content as $id\n/, 'and is refused');
$session->quit;

done_testing();
