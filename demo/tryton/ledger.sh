# Shell functions of demo/run for ACCOUNTING=tryton: Tryton keeps the books. Sourced, never run.
# They use D, the directory of the run, AS_SERVER, sql and poll of demo/run.

tryton() { (cd "$D" && "${AS_SERVER[@]}" node "$D/tryton/tryton.js" "$@"); }

# Of the demo's own: one that only the ledger refuses, after the payment, and one that is cancelled
# by hand when it is posted. The first is submitted with the others.
start_ledger()
{
	local f=("$INVOICES"/*.json "$D"/tryton/{wrong-year,cancelled}.json)
	tryton prepare "$D/ledger" || die "Tryton cannot be prepared"
	tryton start "$D/ledger" || die "Tryton does not start"
	tryton setup "$D/ledger" "${f[@]}" || die "the books cannot be set up"
}

set_up_ledger()
{
	local d=$D/ledger
	sql -v map="$(cat "$d/map.json")" -v owner=invoicer -v url="$(cat "$d/url")" -v password="$d/password" \
		-v destinations="$(cat demo/tryton/destinations.json)" -v states="$(cat demo/tryton/states.json)" \
		-f demo/tryton/books.sql -f demo/tryton/workflow.sql >/dev/null ||
		die "the workflow cannot be changed"
}

# In the ledger: posted and not cancelled.
booked_in_ledger() { tryton invoices "$D/ledger" | grep -cE '"state":"(posted|paid)"'; }

show_in_ledger()
{
	tryton invoices "$D/ledger" | node -e '
		for (const line of require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean)) {
			const i = JSON.parse(line);
			if (i.tracking_id === process.argv[1]) console.log(`  in the ledger: ${i.number} ${i.state}, total ${i.total} ${i.currency},` +
				` journal entry ${i.move ?? "none"}, reversed by ${i.cancel_move ?? "none"}`);
		}' "$1"
}

# Somebody cancels an invoice that is posted and not yet announced: payment and booking are undone.
cancel_a_posted_one()
{
	local id
	say; say "one more, cancelled when it is posted already:"
	sql -c "SELECT saga.pause_destination('invoicer.invoice-events')" >/dev/null
	id=$(sql -v doc="$(cat demo/tryton/cancelled.json)" <<<"SELECT invoice_submit(:'doc')") || return 1
	poll "SELECT current_step FROM invoice_tracking WHERE tracking_id = '$id'" Announce || return 1
	show_in_ledger "$id"
	sql -c "SELECT invoice_cancel('$id')" >/dev/null || return 1
	poll "SELECT status FROM invoice_tracking WHERE tracking_id = '$id'" cancelled || return 1
	show_in_ledger "$id"
	sql -c "SELECT saga.resume_destination('invoicer.invoice-events')" >/dev/null
}

# The refused ones: a draft stays behind, cancelled.
show_refused()
{
	local id
	for id in $(sql -c "SELECT tracking_id FROM invoice_dlq WHERE reason LIKE 'States.Http%' ORDER BY 1"); do
		say "refused by the ledger: $(sql -c "SELECT format('%s, compensated: %s', number, compensated) FROM invoice_dlq WHERE tracking_id = '$id'")"
		show_in_ledger "$id"
	done
}

# Tryton's trial balance beside the sums of what we saved as valid: equal or not, per currency.
compare_with_ledger()
{
	say; say "Tryton's trial balance, and the sums of our valid invoices:"
	tryton balance "$D/ledger" >"$D/balance" || return 1
	sql -c "SELECT json_build_object('currency', i.currency, 'n', count(*), 'receivable', sum(s * i.tax_inclusive)::text,
		'revenue', sum(- s * i.tax_exclusive)::text, 'tax', sum(- s * i.tax_total)::text)
		FROM invoice i, LATERAL (SELECT CASE WHEN invoice_is_credit_note(i.type_code) THEN -1 ELSE 1 END) AS f (s)
		WHERE i.status = 'valid' GROUP BY i.currency" >"$D/sums" || return 1
	node demo/tryton/compare.js "$D/balance" "$D/sums"
}
