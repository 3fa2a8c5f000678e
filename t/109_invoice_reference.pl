# docs/invoices.md against the code: every member of the format is in a table with its type and its term of
# EN 16931, every rule with its level, and neither has more than there is.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file('docs/invoices.md');
my $code = join '', map { slurp_file($_) } sort glob('src/invoice/*.c');
my $steps = join '', map { slurp_file($_) } sort glob('src/invoice/*.sql');

# ---------- the members, as shapes.c has them ----------

my %type = (
	TEXT => 'text', TEXT_OR_NULL => 'text', NOTE => 'text', DAY => 'date', DECIMAL => 'decimal', NOTES => 'texts',
	OBJECT => 'object', LIST => 'list');
my %shape;
my $shapes = slurp_file('src/invoice/shapes.c');
while ($shapes =~ /^static const SagaMember (\w+)_members\[\] = \{\n(.*?)^\};/gms)
{
	my ($name, $body) = ($1, $2);
	my @members;

	# {"name", SAGA_MEMBER_KIND, offset, &shape} is the long form of KIND(type, field, "name", shape)
	$body =~ s/\{("\w+"), SAGA_MEMBER_(\w+)(?:, offsetof\(\w+, \w+\)(?:, &(\w+))?)?[^}]*\}/"$2($1" . ($3 ? ", $3" : '') . ')'/ge;
	while ($body =~ /\b([A-Z_]+)\((?:\w+, \w+, )?"(\w+)"(?:, (\w+))?\)/g)
	{
		push @members, { name => $2, kind => $1, shape => $3 };
	}
	is(scalar(@members), scalar(() = $body =~ /"\w+"/g), "members of $name are understood");
	$shape{$name} = \@members;
}

# place => { member => type }
my %member;
sub walk
{
	my ($place, $name) = @_;

	foreach my $m (@{ $shape{$name} })
	{
		$member{$place}{ $m->{name} } = $type{ $m->{kind} };
		next if !defined $m->{shape};
		walk(join('.', grep { $_ ne '' } $place, $m->{name} . ($m->{kind} eq 'LIST' ? '[]' : '')), $m->{shape});
	}
	return;
}
walk('', 'invoice');

my %described;
my @without_term;
my @tables = grep { /\A\|/ } split /\n\n/, $document;
foreach my $table (grep { /\A\|[^|\n]*\| term \| type \|/ } @tables)
{
	my ($head, undef, @rows) = split /\n/, $table;
	my ($first) = $head =~ /\A\|\s*([^|]*?)\s*\|/;
	my @places = $first eq 'the document' ? ('') : $first =~ /`([^`]+)`/g;

	foreach my $row (@rows)
	{
		my ($name, $term, $type) = $row =~ /\A\| `(\w+)` \| ([^|]*) \| (\w+) \|/ or die "cannot read \"$row\"\n";

		push @without_term, $row if $term !~ /\AB[TG]-\d+(-\d+)?(, B[TG]-\d+(-\d+)?)*\z/;
		$described{$_}{$name} = $type foreach @places;
	}
}
sub lines_of
{
	my ($places) = @_;
	return join "\n", map { my $p = $_; map { ($p eq '' ? '' : "$p.") . "$_ $places->{$p}{$_}" } sort keys %{ $places->{$p} } } sort keys %{$places};
}
cmp_ok(scalar(keys %member), '>', 20, 'there are objects');
is(lines_of(\%described), lines_of(\%member), 'the tables have every member of the format, with its type, and no other');
is("@without_term", '', 'each with its term');

# ---------- the rules ----------

my %level;
$level{$_} = 'F' foreach $code =~ /"((?:BR|INV)-[A-Z0-9-]*\d|INV-[A-Z-]+)"/g;
$level{$_} = 'W' foreach $code =~ /\bWARN_AT\("([A-Z0-9-]+)"/g, $code =~ /\bCODE_AT\(SAGA_WARNING, "([A-Z0-9-]+)"/g;
my %prefix = map { $_ => 1 } $code =~ /\{"(BR-[A-Z]+)", (?:true|false), [A-Z_]+, [A-Z_]+, (?:true|false)\}/g;
my %number = map { $_ => 1 } $code =~ /\b(?:rule_id|check_ids|check_rate)\((?:check, )?[\w>-]+, (\d+)/g, $code =~ /\bcheck_rate\(check, [\w>-]+, (\d+)/g;
is(scalar(keys %prefix), 9, 'nine VAT categories have rules');
is(join(' ', sort { $a <=> $b } keys %number), '1 2 3 4 5 6 7 8 9 10', 'ten for each');
foreach my $p (keys %prefix)
{
	$level{ sprintf '%s-%02d', $p, $_ } = 'F' foreach keys %number;
}

my %told;
foreach my $table (grep { /\A\| rule \| level \|/ } @tables)
{
	my (undef, undef, @rows) = split /\n/, $table;
	foreach my $row (@rows)
	{
		my ($ids, $level) = $row =~ /\A\| ([^|]*) \| ([FW]) \|/ or die "cannot read \"$row\"\n";
		foreach my $id ($ids =~ /`([^`]+)`/g)
		{
			fail("$id is there once") if $told{$id};
			$told{$id} = $level;
		}
	}
}
my ($matrix) = grep { /\A\| \| S: `BR-S`/ } @tables;
my ($head, undef, @rows) = split /\n/, $matrix;
foreach my $p ($head =~ /`([A-Z-]+)`/g)
{
	foreach my $row (@rows)
	{
		my ($numbers) = $row =~ /\A\| ((?:\d\d, )+)/ or die "cannot read \"$row\"\n";
		$told{"$p-$_"} = 'F' foreach $numbers =~ /\d\d/g;
	}
}
sub levels { my ($l) = @_; return join "\n", map { "$_ $l->{$_}" } sort keys %{$l} }
cmp_ok(scalar(keys %level), '>', 200, 'there are rules');
is(levels(\%told), levels(\%level), 'the tables have every rule with its level, and no other');

# ---------- what holds an invoice beside them ----------

my %doubt = map { $_ => 1 } $steps =~ /doubts \|\| '(INV-[A-Z-]+)'/g;
my %bullet = map { $_ => 1 } $document =~ /^- `(INV-[A-Z-]+)`:/gm;
is(join(' ', sort keys %bullet), join(' ', sort keys %doubt), 'and every doubt');

done_testing();
