# Invoices in a sender's own shape: each format of demo/formats makes of its document what lies beside it, and that is
# submitted by an ordinary role, paid, booked and announced; mistakes of a sender's are told by the sender's names; and
# the section of docs/invoices.md does what it says.
use strict;
use warnings;

use Encode ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

$ENV{AWS_ACCESS_KEY_ID} = 'test';
$ENV{AWS_SECRET_ACCESS_KEY} = 'test';

my $acc = start_accounting();
my $sns = start_fauxqs();
my $topic = $sns->setup('invoice-events', 'invoice-reader');
my $node = new_saga_node('formats', 'pg_saga.workers = 2');
my $json = JSON::PP->new->canonical;

sub is_status
{
	my ($id, $status, $name) = @_;
	return ok(poll_until($node, "SELECT status FROM invoice_tracking WHERE tracking_id = '$id'", $status), $name);
}

create_extensions($node);
sql(<<"SQL");
CREATE ROLE invoice_owner LOGIN;
CREATE ROLE shop;
CREATE ROLE integrator;
SELECT invoice_setup('invoice_owner');
GRANT EXECUTE ON FUNCTION invoice_submit(json, text) TO shop;
GRANT EXECUTE ON FUNCTION invoice_source_format(text, text), invoice_read_document(json, text), invoice_validate(json, text) TO integrator;
SELECT saga.create_destination(n, 'http', jsonb_build_object('url', '@{[ $acc->url ]}',
	'allow_private', true, 'base_ms', 50)) FROM unnest('{payments,accounting}'::text[]) n;
SELECT saga.create_destination('invoice-events', 'sns', jsonb_build_object('topic_arn', '$topic->{topic_arn}',
	'endpoint_url', '@{[ $sns->url ]}', 'allow_private', true, 'base_ms', 50));
SELECT saga.set_destination_owner(n, 'invoice_owner') FROM unnest('{payments,accounting,invoice-events}'::text[]) n;
SQL

# what each is about: a change of the sender's document, and what is told of it
my %mistakes = (
	'payment-provider' => [
		sub { $_[0]{lines}{data}[1]{tax}[0]{rate}{percentage} = -7 }, 'BR-Z-05 /lines/1/vat_rate', 'sender: /lines/data/1/tax/0/rate/percentage' ],
	'accounting-saas' => [
		sub { $_[0]{Contact}{Addresses}[1]{Country} = 'Atlantis' }, 'BR-11 /buyer/address/country', 'the format makes no such member' ],
	'erp' => [
		sub { $_[0]{items}[2]{unit} = 'XX' }, 'BR-23 /lines/2/unit_code', 'the format makes no such member; sender: within /items/2' ]);

my @formats = sort map { m{([^/]+)\.jsonata\z} } glob 'demo/formats/*.jsonata';
is_deeply(\@formats, [ sort keys %mistakes ], 'the formats that there are');
my $readme = slurp_file('demo/formats/README.md');
my %ids;
foreach my $name (@formats)
{
	my ($expression, $document, $invoice) = map { slurp_file("demo/formats/$name$_") } '.jsonata', '.json', '.invoice.json';
	like($readme, qr/\Q$name.invoice.json\E/, "$name: the README has it");
	is(sql("SET ROLE integrator; SELECT invoice_source_format('$name', \$q\$$expression\$q\$)"), '1', "$name: it is a format");
	is(sql("SET ROLE integrator; SELECT invoice_read_document(\$q\$$document\$q\$, '$name')::jsonb = \$q\$$invoice\$q\$::jsonb"), 't',
		"$name: it makes what lies beside it")
	  or diag(sql("SELECT invoice_read_document(\$q\$$document\$q\$, '$name')"));
	is(sql("SET ROLE integrator; SELECT * FROM invoice_validate(\$q\$$document\$q\$, '$name')"), '', "$name: all rules hold");
	$ids{$name} = sql("SET ROLE shop; SELECT invoice_submit(\$q\$$document\$q\$, '$name')");

	my ($change, $rule, $note) = @{ $mistakes{$name} };
	my $wrong = JSON::PP->new->decode(Encode::decode('UTF-8', $document));
	$change->($wrong);
	$wrong->{$_} = 'W-1' foreach grep { exists $wrong->{$_} } 'number', 'InvoiceNumber';
	$wrong->{header}{doc_no} = '0001' if $wrong->{header};
	$wrong = Encode::encode('UTF-8', $json->encode($wrong));
	my $id = sql("SET ROLE shop; SELECT invoice_submit(\$q\$$wrong\$q\$, '$name')");
	is_status($id, 'failed', "$name: a mistake of the sender's");
	my $messages = sql("SELECT array_to_string(messages, ' | ') FROM invoice_dlq WHERE tracking_id = '$id'");
	like($messages, qr/\Q$rule\E: [^|]*\(\Q$note\E[^|]*\)/, "$name: told by the sender's names");
	is(sql("SELECT original::text = \$q\$$wrong\$q\$ FROM invoice_dlq WHERE tracking_id = '$id'"), 't', "$name: it is kept as it came");
}
foreach my $name (@formats)
{
	is_status($ids{$name}, 'completed', "$name: the invoice is completed");
	is(sql("SELECT source_format, source_format_version, status FROM invoice_tracking WHERE tracking_id = '$ids{$name}'"),
		"$name|1|completed", "$name: and tracked with its format");
}
is(sql('SELECT string_agg(payable::text, \' \' ORDER BY payable) FROM invoice'), '203.02 943.86 15000.00', 'what is due of the three');
my %booked = map { $_->{number} => $_->{posted} } @{ $acc->audit->{numbers} };
is_deeply(\%booked, { 'QB-2026-0042' => 1, 'LS-1077' => 1, '90001234' => 1 }, 'each is booked once') or diag(explain(\%booked));

# ---------- the manual ----------
my ($section) = slurp_file('docs/invoices.md') =~ /^### In a sender's own shape\n(.*?)^### /ms;
my ($example) = $section =~ /```sql\n(.*?)```/s;
my @expected = $example =~ /^-- (.*)$/mg;
is(scalar(@expected), 6, 'the manual says what comes out');
$node->safe_psql('postgres', 'CREATE DATABASE manual');
$node->safe_psql('manual', 'CREATE EXTENSION pg_invoice CASCADE');
is($node->safe_psql('manual', $example), join("\n", @expected), 'and that comes out');

$node->stop;
done_testing();
