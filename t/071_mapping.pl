# The mapping language against JSONata's own test suite (shared data): what the parser takes must
# give what JSONata gives, and errors where that has one.
use strict;
use warnings;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $shared = shared_dir();
if (!$shared || !-d "$shared/jsonata-suite")
{
	die "the shared cases are not there\n" if ($ENV{CI} // '') eq 'true';
	plan skip_all => 'no shared cases (SAGA_SHARED, ../shared)';
}

# Where we differ on purpose (src/mapping/README.md): numbers are decimals, and members of an
# object that comes from jsonb are in jsonb's order.
my %differs = map { $_ => 1 } ('function-string/case001', 'function-keys/case000');

my $json = JSON::PP->new->allow_nonref->allow_bignum->canonical;
my $node = new_saga_node('mapping');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION pg_saga;
CREATE TABLE c (n int PRIMARY KEY, expr text, doc jsonb);
-- {"value": ...}, {}: nothing, {"refused": ...}: by the parser, {"error": ...}: when evaluated
CREATE FUNCTION run(expr text, doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	result jsonb;
BEGIN
	result := saga.test_mapping(expr, doc);
	RETURN CASE WHEN result IS NULL THEN '{}' ELSE jsonb_build_object('value', result) END;
EXCEPTION WHEN invalid_parameter_value THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN jsonb_build_object(CASE WHEN message LIKE 'invalid%' THEN 'refused' ELSE 'error' END, detail);
END $$;
SQL

sub decode
{
	return JSON::PP->new->utf8->allow_nonref->allow_bignum->decode($_[0]);
}

sub slurp_json
{
	my ($file) = @_;
	open my $fh, '<:raw', $file or die "$file: $!\n";
	local $/;
	my $text = <$fh>;
	# half a surrogate pair: no JSON for us; as NUL its case is left out below
	$text =~ s/\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])/\\u0000/gi;
	return decode($text);
}

sub copy_text
{
	my ($s) = @_;
	$s =~ s/\\/\\\\/g;
	$s =~ s/\n/\\n/g;
	$s =~ s/\r/\\r/g;
	$s =~ s/\t/\\t/g;
	return $s;
}

# Numbers of the suite are doubles.
sub same
{
	my ($got, $want) = @_;
	return !defined $got && !defined $want if !defined $got || !defined $want;
	if (JSON::PP::is_bool($got) || JSON::PP::is_bool($want))
	{
		return JSON::PP::is_bool($got) && JSON::PP::is_bool($want) && !$got == !$want;
	}
	if (ref $got eq 'ARRAY' && ref $want eq 'ARRAY')
	{
		return @$got == @$want && !grep { !same($got->[$_], $want->[$_]) } 0 .. $#$got;
	}
	if (ref $got eq 'HASH' && ref $want eq 'HASH')
	{
		return keys %$got == keys %$want && !grep { !exists $got->{$_} || !same($got->{$_}, $want->{$_}) } keys %$want;
	}
	return 0 if grep { ref eq 'ARRAY' || ref eq 'HASH' } $got, $want;
	my ($g, $w) = map { $json->encode($_) } $got, $want;
	return $g eq $w if $g =~ /^"/ || $w =~ /^"/;
	return $g == $w || abs($g - $w) <= 1e-12 * abs($w);
}

# ---------- the cases ----------

my (@cases, %data);
for my $file (sort glob "$shared/jsonata-suite/groups/*.json")
{
	for my $case (@{ slurp_json($file) })
	{
		next if !defined $case->{expr};
		$case->{doc} =
		  exists $case->{data} ? $case->{data}
		  : defined $case->{dataset} ? $data{ $case->{dataset} } //= slurp_json("$shared/jsonata-suite/datasets/$case->{dataset}.json")
		  : undef;
		$case->{has_doc} = exists $case->{data} || defined $case->{dataset};
		my $text = $json->encode([ $case->{expr}, $case->{doc} ]);
		# what no jsonb holds
		next if $text =~ /\\u0000/;
		push @cases, $case;
	}
}
cmp_ok(scalar @cases, '>', 1000, 'there are cases');

my $input = join '', map {
	my $case = $cases[$_];
	join("\t", $_, copy_text($case->{expr}), $case->{has_doc} ? copy_text($json->encode($case->{doc})) : '\\N') . "\n"
} 0 .. $#cases;
utf8::encode($input);
my ($out, $err) = ('', '');
IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', 'COPY c FROM stdin' ],
	'<', \$input, '>', \$out, '2>', \$err) or die "psql: $err\n";
my @got = split /\n/, $node->safe_psql('postgres', 'SELECT run(expr, doc) FROM c ORDER BY n');
is(scalar @got, scalar @cases, 'each has an answer');

my ($refused, $passed, @wrong) = (0, 0);
for my $n (0 .. $#cases)
{
	my ($case, $got) = ($cases[$n], decode($got[$n]));
	if (exists $got->{refused})
	{
		$refused++;
		# not supported, or an error for JSONata as well
		push @wrong, "$case->{id} ($case->{expr}): $got->{refused}"
		  if $got->{refused} !~ /not supported in mappings/ && !defined $case->{code};
		next;
	}
	my $ok =
	  defined $case->{code} ? exists $got->{error}
	  : $case->{undefinedResult} ? !%$got
	  : exists $got->{value} && same($got->{value}, $case->{result});
	if ($ok != !$differs{ $case->{id} }) { push @wrong, "$case->{id} ($case->{expr}): $got[$n]" }
	elsif ($ok) { $passed++ }
}
is(join("\n", @wrong), '', 'nothing is evaluated wrongly');
cmp_ok($passed, '>=', 440, 'a good part is supported');
note("$passed cases of " . @cases . " agree, $refused are refused");

done_testing();
