# demo/step-functions: three state machines as they are at AWS, on SQL functions.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Saga::Test;

my $node = new_saga_node('main');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_saga');
my ($out, $err);
my $ok = IPC::Run::run([ 'demo/step-functions/run', '-d', $node->connstr('postgres') ], '>', \$out, '2>', \$err);
ok($ok, 'it runs') or diag $err;
is($out, <<'OUT', 'each ends as its input says');
order     SUCCEEDED {"parcel": "P-1", "status": "shipped"}
order     FAILED    CardDeclined: over the limit
order     FAILED    NoCarrier: nobody goes there
order     FAILED    OutOfStock: no table is left
fan-out   SUCCEEDED {"album": "spring", "failed": 1, "pictures": 4}
fan-out   FAILED    AlbumBroken: The specified tolerated failure threshold was exceeded
approval  SUCCEEDED {"amount": 10, "result": "approved", "patience": 600}
approval  SUCCEEDED {"amount": 2000, "result": "approved", "decision": "by the manager", "patience": 600}
approval  SUCCEEDED {"why": "not this month", "result": "rejected"}
approval  SUCCEEDED {"amount": 4000, "result": "nobody answered"}
journal: charge 80, charge 90, refund 90, release lamp, release lamp, reserve lamp, reserve lamp, reserve lamp, ship lamp
OUT
is($node->safe_psql('postgres', "SELECT free FROM step_functions.stock WHERE item = 'lamp'"), '4', 'what was taken back is there again');
$node->stop;
done_testing();
