# What holds between the modules of src/: which may use which, and what stays within one.
use strict;
use warnings;

use Test::More;

# A table of src/README.md: module => what stands behind it. That of the arrows has the modules whose
# headers it may include.
sub table_of
{
	my ($name) = @_;
	my %behind;
	my ($table) = text_of('src/README.md') =~ /^```$name\n(.*?)^```/ms;
	foreach my $line (split(/\n/, $table // ''))
	{
		my ($module, @words) = split(' ', $line);
		$behind{$module} = { map { $_ => 1 } @words };
	}
	return %behind;
}

sub text_of
{
	my ($file) = @_;
	open(my $fh, '<', $file) or die "$file: $!";
	local $/ = undef;
	return scalar <$fh>;
}

my %may = table_of('arrows');
my %modules = map { m{^src/(\w+)/} ? ($1 => 1) : () } glob('src/*/*.[ch]');
is_deeply([ sort keys %modules ], [ sort keys %may ], 'src/README.md has every module');

# ---------- names ----------

# The other table: module => the words that its exported names begin with, after "saga_".
my %words = table_of('words');
is_deeply([ sort keys %words ], [ sort keys %may ], 'src/README.md has the words of every module');

my (%home, @twice);
foreach my $module (sort keys %words)
{
	foreach my $word (sort keys %{ $words{$module} })
	{
		push @twice, "$word: $module, $home{$word}" if $home{$word};
		$home{$word} = $module;
	}
}
is_deeply(\@twice, [], 'a word is at home in one module');

my @strangers;
# compat.h declares what older servers lack, under PostgreSQL's names
foreach my $header (grep { !m{/compat\.h$} } sort(glob('src/*/*.h')))
{
	my ($module) = $header =~ m{^src/(\w+)/};
	foreach my $name (text_of($header) =~ /^extern\b[^;(]*?\b(\w+)\(/mg)
	{
		my ($word) = $name =~ /^saga_([a-z0-9]+)/;
		push @strangers, "$header: $name" unless ($home{ $word // '' } // '') eq $module;
	}
}
is_deeply(\@strangers, [], 'an exported name begins with a word of its module');

my @prefixed;
foreach my $file (sort(glob('src/*/*.c')))
{
	push @prefixed, map { "$file: $_" } text_of($file) =~ /^static\b[^;={(]*?\n(saga_\w+)\(/mg;
}
is_deeply(\@prefixed, [], 'a static function has no prefix');

# ---------- one hand ----------

SKIP:
{
	my $formatter = `pg_bsd_indent --version 2>/dev/null` =~ /2\.1\.1/;
	skip 'no pg_bsd_indent 2.1.1', 1 unless $formatter || $ENV{CI};
	is(`tools/indent --check 2>&1`, '', 'the C sources are laid out as tools/indent does');
}

# ---------- arrows run one way ----------

my (@against, @private);
foreach my $file (sort(glob('src/*/*.[ch]')))
{
	my ($module) = $file =~ m{^src/(\w+)/};
	foreach my $included (text_of($file) =~ /^#include "(\w+\/\w+\.h)"/mg)
	{
		my ($other, $header) = split(m{/}, $included);
		# "common/" and "port/" are PostgreSQL's as well
		next if $other eq $module || !$modules{$other} || !-e "src/$included";
		push @against, "$file: $included" unless $may{$module}{$other};
		push @private, "$file: $included" if $header =~ /_private\.h$/;
	}
}
is_deeply(\@against, [], 'no include against the arrows');
is_deeply(\@private, [], 'no private header crosses a wall');

# a module stands on what stands below it, never in a circle
my %floor;
my $left = keys %may;
while (1)
{
	my @next = grep { my $m = $_; !exists $floor{$m} && !grep { !exists $floor{$_} } keys %{ $may{$m} } } keys %may;
	last unless @next;
	$floor{$_} = 1 foreach @next;
}
is_deeply([ grep { !$floor{$_} } sort keys %may ], [], 'the arrows have no circle');

# the files of such a module stand on floors as well
my @floors = qw(asl);
my ($circles) = `tools/measure` =~ /^circles:\n((?: .*\n)*)/m;
is_deeply([ grep { my $circle = $_; grep { $circle =~ m{\bsrc/$_/} } @floors } split(/\n/, $circles // 'none found') ], [],
	'no circle of files in ' . join(', ', @floors));

# ---------- what is named in one place ----------

sub files_with { my ($pattern) = @_; return grep { text_of($_) =~ $pattern } sort(glob('src/*/*.[ch]')) }

is_deeply([ files_with(qr/\bSPI_(?:tuptable|processed|getbinval|prepare|execute)/) ], ['src/common/statement.c'],
	'results of SPI are touched in one file');

my @not_theirs = grep { !m{^src/queue/} } files_with(qr/\bsaga\.(?:message|timer)\b|saga_relation_oid\("(?:message|timer)\w*"\)/);
is_deeply(\@not_theirs, [], 'the rows of queues are named by the queue alone');

# ---------- words ----------

is_deeply([ grep { !-e "src/$_/README.md" } sort keys %modules ], [], 'every module has a README');

done_testing();
