# Sourced by bench/states/run and bench/map/run, in the root of the tree: builds (unless NOBUILD), and starts
# a throw-away cluster in $DIR, which goes with the shell. More lines for postgresql.conf as arguments.
# Then: sql ARGUMENTS of psql; median, of numbers in lines.
. t/lib/common.sh
if [ -z "${NOBUILD:-}" ]; then
	[ -n "${NODEPS:-}" ] || t/deps
	PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with headers and PGXS found: set PG_CONFIG"
	build_and_install "$PG_CONFIG"
fi
PG_CONFIG=$(find_pg_config)
set_server_user
BIN=$("$PG_CONFIG" --bindir)
DIR=$(mktemp -d /tmp/saga-bench.XXXXXX)
cleanup() { (cd "$DIR" && "${AS_SERVER[@]}" "$BIN/pg_ctl" -D "$DIR/data" -m immediate stop) >/dev/null 2>&1 || true; rm -rf "$DIR"; }
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ ${#AS_SERVER[@]} -gt 0 ]; then chown -R "$SERVER_USER" "$DIR"; fi
(cd "$DIR" && "${AS_SERVER[@]}" "$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --no-locale >/dev/null)
cat >>"$DIR/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$DIR'
shared_buffers = 512MB
max_wal_size = 8GB
max_worker_processes = 20
shared_preload_libraries = 'pg_saga'
pg_saga.workers = 0
CONF
printf '%s\n' "$@" >>"$DIR/data/postgresql.conf"
(cd "$DIR" && "${AS_SERVER[@]}" "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w start >/dev/null)
export PGHOST=$DIR PGUSER=postgres PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
sql() { "$BIN/psql" -XqAtv ON_ERROR_STOP=1 "$@"; }
median() { sort -g | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }
