# What is said of the project to those who package it: META.json by the rules of PGXN, one version everywhere, files that
# are named and there, links in the documents that lead somewhere.
use strict;
use warnings;

use JSON::PP;
use Test::More;

sub slurp
{
	my ($path) = @_;
	open(my $fh, '<:raw', $path) or die "$path: $!";
	local $/;
	return scalar <$fh>;
}

sub found
{
	my ($regexp, $path) = @_;
	return slurp($path) =~ $regexp ? $1 : undef;
}

# ---------- META.json, https://pgxn.org/spec/ ----------
my $meta = JSON::PP->new->decode(slurp('META.json'));
my $semver = qr/\A(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-?[A-Za-z][0-9A-Za-z-]*)?\z/;
my $term = qr/\A[^\s\/\\\p{Cntrl}]{2,}\z/;

like($meta->{name}, $term, 'name');
like($meta->{version}, $semver, 'version');
cmp_ok(length($meta->{$_} // ''), '>', 0, $_) foreach qw(abstract maintainer description);
is($meta->{license}, 'postgresql', 'license');
like($meta->{release_status}, qr/\A(?:stable|testing|unstable)\z/, 'release_status');
is_deeply($meta->{'meta-spec'}, { version => '1.0.0', url => 'http://pgxn.org/meta/spec.txt' }, 'meta-spec');
is_deeply([ grep { !/\A(?:name|version|abstract|maintainer|description|license|release_status|meta-spec|provides|prereqs|tags|no_index|generated_by|resources|x_.*)\z/ }
	sort keys %$meta ], [], 'no member that the rules do not have');
foreach my $extension (sort keys %{ $meta->{provides} })
{
	my $provides = $meta->{provides}{$extension};
	like($extension, $term, "provides $extension");
	like($provides->{version}, $semver, "$extension: version");
	ok(-f $provides->{file}, "$extension: $provides->{file}");
	ok(-f $provides->{docfile}, "$extension: $provides->{docfile}");
	ok(-f "$extension.control", "$extension.control");
	is(found(qr/^default_version = '([^']*)'/m, "$extension.control") . '.0', $provides->{version}, "$extension: its control file has the same version");
}
is_deeply([ sort keys %{ $meta->{provides} } ], [ sort map { s/\.control$//r } glob('*.control') ], 'all extensions are provided');
foreach my $phase (sort keys %{ $meta->{prereqs} })
{
	like($phase, qr/\A(?:configure|build|test|runtime|develop)\z/, "prereqs $phase");
	like($meta->{prereqs}{$phase}{requires}{PostgreSQL}, $semver, "prereqs $phase: PostgreSQL");
}
cmp_ok(length $_, '<=', 255, "tag $_") foreach @{ $meta->{tags} };

# ---------- one version ----------
my $version = $meta->{version} =~ s/\.0\z//r;
is(found(qr/^SAGA_VERSION = (\S+)$/m, 'Makefile'), $version, 'Makefile');
is(found(qr/\Apg-saga \(([^)-]*)/, 'debian/changelog'), $meta->{version}, 'debian/changelog');
is(found(qr/^## (\S+)/m, 'CHANGELOG.md'), $version, 'CHANGELOG.md');
is(found(qr/^(\d+)\+$/m, 'debian/pgversions') . '.0.0', $meta->{prereqs}{build}{requires}{PostgreSQL}, 'debian/pgversions');

# what is linked, by name of a Debian package
my %dev = (curl => 'libcurl4-openssl-dev', 'json-c' => 'libjson-c-dev', expat => 'libexpat1-dev', 'pcre2-8' => 'libpcre2-dev');
my @linked = map { $dev{$_} // "-l$_" } found(qr/^SHLIB_LINK = (.*)$/m, 'Makefile') =~ /-l(\S+)/g;
foreach my $file (qw(debian/control.in debian/control tools/deb t/check-deb))
{
	my $text = slurp($file);
	is_deeply([ grep { $text !~ /\b\Q$_\E\b/ } @linked ], [], "$file names all libraries");
}

# ---------- links ----------

# As a page of the repository makes it of a heading.
sub anchor
{
	my ($heading) = @_;
	$heading =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
	$heading =~ s/[`*]//g;
	$heading = lc $heading;
	$heading =~ s/[^\w\s-]//g;
	return $heading =~ s/\s/-/gr;
}

sub anchors
{
	my ($path) = @_;
	my $text = slurp($path) =~ s/^```.*?^```//gmsr;
	my %seen;
	return { map { my $a = anchor($_); my $n = $seen{$a}++; ($n ? "$a-$n" : $a) => 1 } $text =~ /^#+ (.*)$/gm };
}

my %anchors;
my @dead;
my @pages = grep { !/node_modules/ } (glob('*.md'), glob('docs/*.md'), glob('src/*.md'), glob('src/*/*.md'), glob('engineering/*.md'),
	glob('demo/*.md'), glob('demo/*/*.md'), glob('bench/*.md'), glob('t/*/*.md'), glob('fuzz/*.md'), glob('terraform/*.md'));
foreach my $page (@pages)
{
	my $text = slurp($page) =~ s/^```.*?^```//gmsr =~ s/`[^`\n]*`//gr;
	while ($text =~ /\]\(([^)\s]+)\)/g)
	{
		my $link = $1;
		next if $link =~ /^[a-z]+:/;
		my ($file, $to) = $link =~ /\A([^#]*)(?:#(.*))?\z/;
		my $path = $file eq '' ? $page : $page =~ m{\A(.*/)[^/]*\z} ? "$1$file" : $file;
		1 while $path =~ s{(?:\A|(?<=/))(?!\.\./)[^/]+/\.\./}{};
		push @dead, "$page: $link" unless -e $path;
		next unless defined $to && -f $path;
		$anchors{$path} //= anchors($path);
		push @dead, "$page: $link" unless $anchors{$path}{$to};
	}
}
cmp_ok(scalar(@pages), '>', 30, 'pages were looked at');
is_deeply(\@dead, [], 'each link leads somewhere') or diag(join("\n", @dead));

done_testing();
