# Stored settings keep their meaning: what each expression, template, condition and path of demo/destinations, and
# regular expressions in the server's syntax, give for messages and answers.  162_stored_settings.out was written when
# destinations still had a language of their own; a file named in STORED_SETTINGS gets what they give now.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test qw(:DEFAULT sql);

my $json = JSON::PP->new->canonical->ascii->allow_nonref->allow_bignum;
my $node = new_saga_node('main');
create_extensions($node);

# ---------- what expressions are given ----------

my %invoice = (number => 'INV-7', issue_date => '2026-03-09', due_date => '2026-04-08', currency => 'EUR', seller => 'S', customer => '4711',
	tax => '19.00', total => '119.00', remote_id => 17, sync_token => '0', company => 1, lines => [ { name => 'Table', net => '60.00', tax => '11.40' }, { name => 'Chair', net => '40.00', tax => '7.60' } ]);
my %line = (name => "\x{d6}l & S\x{f6}hne \"x\"", net => '12345678901234567.89', tax => '0.01');
my @messages = map { $json->encode($_) } (
	\%invoice,
	{ %invoice, lines => [ \%line ], total => '12345678901234567.90', tax => '0.01' },
	{ %invoice, currency => 'JPY', lines => [ { name => 'A', net => '1200', tax => '120' }, { name => 'B', net => '7', tax => '1' } ], tax => '121', total => '1328' },
	{ %invoice, lines => [], customer => 'Nobody', tax => '1.005', total => '-0.5' },
	{ %invoice, lines => undef, due_date => undef, number => JSON::PP::true, total => '1e2' },
	{ number => 'N', customer => '07', values => { number => 'V', reference => 'R', lines => [ [ 'create', [ \%line ] ] ] }, remote_id => [ 1, 2 ] },
	[ \%invoice, { %invoice, number => 'INV-8' } ],
	'text', undef);
# numbers that JSON::PP would print in another way
push @messages, '{"number": 1.50, "customer": "0x1F", "currency": "KRW", "tax": 1234567890.12345, "total": 100000000000000000000.005, "lines": [{"name": null, "net": 1e3, "tax": 0.10}, {"name": "", "net": "1e3"}]}';

my @answers = map { my $body = $_; map { [ $_, $body ] } 200, 400, 422, 500 } (
	'{"id": "x-1", "error": "duplicate_number", "invoices": [{"id": "i-1", "total": "119.00"}]}',
	'{"Invoices": [{"InvoiceID": "x-1", "HasErrors": true, "Total": 119.00}], "Fault": {"Error": [{"code": "6140"}]}}',
	'{"Invoices": [{"InvoiceID": null, "HasErrors": "true", "Total": 119.0000001}], "Fault": {"Error": [{"code": 6140}]}}',
	'{"QueryResponse": {"Invoice": [{"Id": "5", "SyncToken": "1", "TotalAmt": 119.0}]}, "Invoice": {"Id": "5", "SyncToken": "1"}}',
	'{"QueryResponse": {}}',
	'{"data": [{"customer": "4711", "id": "in_1"}], "lines": {"data": [{}]}, "status_transitions": {"finalized_at": 1}, "error": {"message": "Invoice is already finalized"}}',
	'[{"id": 5, "amount_total": 119, "total_amount": {"decimal": "119.00"}, "state": "posted"}]', '[17]', '[]', '',
	'Only draft journal entries can be cancelled', 'duplicate key: account_invoice_once', 'it must be unique', '{"message": "The same name already exists", "x": "must be in draft"}', 'VOIDED');

# ---------- what the settings hold ----------

my (%seen, @cases);

sub remember
{
	my ($kind, $text) = @_;
	push @cases, [ $kind, $text ] unless $seen{"$kind $text"}++;
}

sub collect
{
	my ($name, $value) = @_;

	if (ref $value eq 'ARRAY') { collect('', $_) foreach @$value }
	return unless ref $value eq 'HASH';
	remember(expr => $value->{expr}) if defined $value->{expr};
	remember(template => $json->encode($value->{template})) if defined $value->{template};
	remember(template => $json->encode($value->{url})) if defined $value->{url};
	remember(condition => $json->encode({ body => $value->{same} })) if $value->{same};
	remember(condition => $json->encode($value->{$_})) foreach grep { $value->{$_} } qw(absent already_done);
	remember(path => $value->{found}) if defined $value->{found};
	if ($value->{capture}) { remember(path => $value->{capture}{$_}) foreach sort keys %{ $value->{capture} } }
	foreach my $rule (@{ $value->{classify} || [] })
	{
		my %rule = %$rule;
		delete @rule{qw(as comment)};
		remember(condition => $json->encode(\%rule));
	}
	collect($_, $value->{$_}) foreach grep { $_ ne 'template' } sort keys %$value;
}

collect('', $json->decode(slurp_file($_))) foreach sort(glob 'demo/destinations/*.json'), 'demo/tryton/destinations.json';
cmp_ok(scalar(grep { $_->[0] eq 'expr' } @cases), '>=', 12, 'expressions');
cmp_ok(scalar(grep { $_->[0] eq 'condition' } @cases), '>=', 15, 'conditions');

# in the syntax of the server's regular expressions, as "matches" has it; nothing that is refused
my @expressions = ('a', '^a', 'a$', '^a$', 'a.c', 'a*', 'a+?b', 'a{2}', 'a{2,}', 'a{1,3}c', '(ab|cd)+', '(?:ab)+c', '[abc]', '[^abc]', '[a-c]+$', '[]a]', '[^]a]', '[a\]]', '[\d]+', '[\w.]+@',
	'[[:alpha:]]+', '[[:digit:]]+$', '[^[:space:]]', '[[:alnum:]_-]+', '[[:<:]]ab', 'ab[[:>:]]', '\mab', 'ab\M', '\yab\y', 'b\Y', '\Aab', 'ab\Z', '\d+', '\D', '\s', '\S+$', '\w+', '\W',
	'\.', '\\\\', '\n', '\t', '\x41', '\x{41}', '\u0041', '\U00000041', 'a\Bb', '(?i)AB', '(?x)a b # c', '(?n)^b', '(?n)a.b', '(?w)^b', '(?p)a.b', '(?s)a.b', '(?q)a.c', '***=a.c', '***:a.c', '(?i)[A-C]+$', 'a|', '(|a)b', '()',
	"\x{e4}", "[\x{e0}-\x{ff}]", "(?i)\x{c4}", '[[.-.]]', '[[.hyphen.]]', '[a[.-.]z]', '[[=a=]]', 'a{,2}', 'x*', '(a)(b)?', '$', '^', '^$', 'a^', '\0', '\a', '\e', '\cA', '\b', '[\b]', 'a{1', '{', '\_', '(?i)a(?#comment)b', '[a-]', '[-a]', '[\s\d]', '\12', '(?iq)A.', 'a\/b', "\x{df}", "(?i)\x{df}", '[[:blank:]]b', '[[:punct:]]', '[[:upper:]][[:lower:]]', '[[:xdigit:]]{4}', '[[:cntrl:]]', '[[:print:]]', '[[:graph:]]', '(?i)[[:upper:]]B');
my @texts = ('', 'a', 'ab', "a\nb", 'abc', 'a.c', 'aab', 'AB', 'x ab y', 'xaby', 'a b', 'a\\Bb', "\x{e4}", "\x{c4}", 'foo@bar.de', '123', 'cab]', 'a-z', 'a{1', '{', 'a/b', "\x{df}", "\t b", 'Aa', 'beef', "\x{a0}", "a\r\nb", 'a_b');
remember(regex => $_) foreach @expressions;

# ---------- what they give ----------

sql(<<'SQL');
CREATE FUNCTION attempt(query text, VARIADIC args text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE query INTO result USING args;
	RETURN coalesce(result, '(nothing)');
EXCEPTION WHEN others THEN
	RETURN '(error)';
END $$;
SQL

sub quoted { my ($s) = @_; return 'NULL' unless defined $s; $s =~ s/'/''/g; utf8::encode($s); return "'$s'" }

my %queries = (
	expr => [ 'SELECT saga.test_mapping(($1)[1], ($1)[2]::jsonb)', map { [ $_ ] } @messages ],
	template => [ 'SELECT saga.test_template(($1)[1]::jsonb, ($1)[2]::jsonb)', map { [ $_ ] } @messages ],
	path => [ q(SELECT saga.test_template(to_jsonb('{' || ($1)[1] || '}'), ($1)[3]::jsonb)), @answers ],
	condition => [ 'SELECT saga.test_condition(($1)[1]::jsonb, ($1)[2]::int, NULL, ($1)[3], ($1)[4]::jsonb)', map { my $answer = $_; map { [ @$answer, $_ ] } $messages[0], $messages[3] } @answers ],
	regex => [ q(SELECT saga.test_condition(jsonb_build_object('body', jsonb_build_object('path', 'x', 'matches', ($1)[1])), 200, NULL, jsonb_build_object('x', ($1)[2])::text)), map { [ $_ ] } @texts ]);

my @calls;
foreach my $case (0 .. $#cases)
{
	my ($kind, $text) = @{ $cases[$case] };
	my ($query, @args) = @{ $queries{$kind} };

	push @calls, map { "($case, $_, attempt(" . join(', ', quoted($query), map { quoted($_) } $text, @{ $args[$_] }) . '))' } 0 .. $#args;
}
my @results;
foreach my $line (split /\n/, sql('SELECT * FROM (VALUES ' . join(",\n", @calls) . ') r (a, b, c) ORDER BY a, b'))
{
	my ($case, undef, $result) = split /\|/, $line, 3;
	push @{ $results[$case] }, $result;
}
my @got;
foreach my $case (0 .. $#cases)
{
	my ($kind, $text) = @{ $cases[$case] };
	my @lines = @{ $results[$case] };

	# yes and no to many answers fit on a line
	@lines = (join '', map { $_ eq 'true' ? 't' : $_ eq 'false' ? 'f' : $_ eq '(error)' ? 'E' : "($_)" } @lines) if $kind =~ /^(condition|regex)$/;
	utf8::encode($text);
	push @got, "$kind $text", map { "\t$_" } @lines;
}
my $got = join("\n", @got) . "\n";

# What means something else now, on purpose: letters beyond ASCII have two cases, too, and a character of a bracket
# expression is not called by its name ("matches" never holds then).
my %changed = map { $_ => 1 } "regex (?i)\xc3\x84", 'regex [[.hyphen.]]';

my $file = 't/162_stored_settings.out';
if ($ENV{STORED_SETTINGS})
{
	open my $out, '>:raw', $ENV{STORED_SETTINGS} or die "$ENV{STORED_SETTINGS}: $!\n";
	print $out $got;
	close $out;
	diag("written to $ENV{STORED_SETTINGS}");
}
my @wanted = split /\n/, slurp_file($file);
is(scalar @got, scalar @wanted, 'as many results');
my $head = '';
my @differ;
foreach my $n (0 .. $#wanted)
{
	$head = $wanted[$n] if $wanted[$n] !~ /^\t/;
	push @differ, "$head\n  was $wanted[$n]\n  is  $got[$n]" if ($got[$n] // '') ne $wanted[$n] && !$changed{$head};
}
is(join("\n", @differ), '', 'all means what it meant');

done_testing();
