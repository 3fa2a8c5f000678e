'use strict';
// What the demo does in Tryton over its JSON-RPC: the companies before, the balances after.

// The books begin here. What is dated before is refused at posting.
const FIRST_YEAR = '2000';
const ACCOUNTS = ['Main Receivable', 'Main Payable', 'Main Revenue', 'Main Tax'];

// Tryton takes control characters in texts of several lines only.
const line = (text) => text.replace(/[\s\p{Cc}]+/gu, ' ').trim();

// What the documents need: years by currency, rates of VAT, buyers.
function needs(documents) {
	const years = new Map();
	const rates = new Set();
	const buyers = new Map();
	for (const d of documents) {
		const year = /^(\d{4})-\d\d-\d\d$/.exec(d?.issue_date ?? '')?.[1];
		if (year === undefined || year < FIRST_YEAR || !/^[A-Z]{3}$/.test(d.currency ?? '')) continue;
		if (!years.has(d.currency)) years.set(d.currency, new Set());
		years.get(d.currency).add(year);
		for (const item of [...(d.lines ?? []), ...(d.allowances ?? []), ...(d.charges ?? [])]) {
			rates.add(String(Number(item.vat_rate ?? 0)));
		}
		// the same rule as books.buyer_key()
		const key = d.buyer?.vat_id ?? d.buyer?.legal_registration_id ?? d.buyer?.name;
		if (typeof key === 'string') buyers.set(key, { name: line(d.buyer.name ?? key), city: line(d.buyer.address?.city ?? '') });
	}
	rates.delete('NaN');
	return { years, rates: [...rates], buyers };
}

class Books {
	constructor(url, user, password) {
		this.url = url;
		this.headers = { 'content-type': 'application/json' };
		if (user !== undefined) this.headers.authorization = 'Basic ' + Buffer.from(`${user}:${password}`).toString('base64');
		this.context = {};
	}

	async post(url, body) {
		const res = await fetch(url, { method: 'POST', headers: this.headers, body: JSON.stringify(body) });
		const text = await res.text();
		if (!res.ok) throw new Error(`${body.method}: ${res.status} ${text.replace(/<[^>]*>/g, ' ').slice(0, 500)}`);
		return JSON.parse(text);
	}

	call(method, ...params) {
		return this.post(this.url, { method, params: [...params, this.context] });
	}

	async answers() {
		return this.post(new URL('/', this.url), { method: 'common.server.version', params: [] }).then(() => true, () => false);
	}

	create(model, ...records) {
		return this.call(`model.${model}.create`, records);
	}

	search(model, ...domain) {
		return this.call(`model.${model}.search`, domain, 0, null, null);
	}

	async one(model, ...domain) {
		const [id] = await this.search(model, ...domain);
		if (id === undefined) throw new Error(`no ${model} with ${JSON.stringify(domain)}`);
		return id;
	}

	// ---------- before ----------

	// Tryton's trial balance is in the company's currency. A company for each currency lets it agree
	// with our sums to the last digit, with no rate of exchange in between.
	async setup(documents, password, digitsOf) {
		const { years, rates, buyers } = needs(documents);
		const companies = [];
		for (const [code, wanted] of years) {
			companies.push(await this.company(code, Number(digitsOf(code)), [...wanted].sort(), rates));
		}
		await this.outboxUser(password, companies.map((c) => c.company));
		return { companies, buyers: await this.buyers(buyers) };
	}

	async company(code, digits, years, rates) {
		this.context = {};
		const [currency] = await this.create('currency.currency', { name: code, symbol: code, code, digits,
			rounding: (10 ** -digits).toFixed(digits), rates: [['create', [{ date: `${FIRST_YEAR}-01-01`, rate: '1' }]]] });
		const [party] = await this.create('party.party', { name: `Books in ${code}`, addresses: [['create', [{ city: 'Berlin' }]]] });
		// cancel_invoice_out: a posted invoice can be cancelled, by an entry that reverses its own
		const [company] = await this.create('company.company', { party, currency, cancel_invoice_out: true });
		await this.call('model.res.user.write', [1], { companies: [['add', [company]]], company });
		this.context = { company };
		const accounts = await this.chart(company);
		const journal = await this.one('account.journal', ['type', '=', 'revenue']);
		for (const year of years) await this.fiscalYear(company, code, year, journal);
		const taxes = {};
		for (const [i, id] of (await this.create('account.tax', ...rates.map((rate) => ({ name: `VAT ${rate}%`,
			description: `VAT ${rate}%`, company, type: 'percentage', rate: String(Number((rate / 100).toFixed(6))),
			invoice_account: accounts['Main Tax'], credit_note_account: accounts['Main Tax'] })))).entries()) {
			taxes[rates[i]] = id;
		}
		return { code, company, currency, journal,
			receivable: accounts['Main Receivable'], revenue: accounts['Main Revenue'], tax: accounts['Main Tax'], taxes };
	}

	async chart(company) {
		const template = await this.one('account.account.template', ['parent', '=', null], ['name', '=', 'Minimal Account Chart']);
		const [session] = await this.call('wizard.account.create_chart.create');
		const step = (data, state) => this.call('wizard.account.create_chart.execute', session, data, state);
		await step({ account: { company, account_template: template } }, 'create_account');
		const found = await this.call('model.account.account.search_read', [['name', 'in', ACCOUNTS], ['company', '=', company]],
			0, null, null, ['name']);
		const accounts = Object.fromEntries(found.map((a) => [a.name, a.id]));
		await step({ properties: { company, account_receivable: accounts['Main Receivable'],
			account_payable: accounts['Main Payable'] } }, 'create_properties');
		await this.call('wizard.account.create_chart.delete', session);
		return accounts;
	}

	async fiscalYear(company, code, year, journal) {
		const invoices = await this.one('ir.sequence.type', ['name', '=', 'Invoice']);
		const moves = await this.one('ir.sequence.type', ['name', '=', 'Account Move']);
		const kinds = { OUT: 'out_invoice_sequence', OUTC: 'out_credit_note_sequence',
			IN: 'in_invoice_sequence', INC: 'in_credit_note_sequence' };
		const ids = await this.create('ir.sequence.strict', ...Object.keys(kinds).map((kind) => ({ name: `${kind} ${code} ${year}`,
			sequence_type: invoices, company, prefix: `${kind}${year}-` })));
		const [post_move_sequence] = await this.create('ir.sequence', { name: `Move ${code} ${year}`, sequence_type: moves, company });
		const [id] = await this.create('account.fiscalyear', { name: year, company, start_date: `${year}-01-01`,
			end_date: `${year}-12-31`, post_move_sequence, invoice_sequences: [['create',
				[{ company, ...Object.fromEntries(Object.values(kinds).map((field, i) => [field, ids[i]])) }]]] });
		await this.call('model.account.fiscalyear.create_period', [id]);
		// Made by the first posting otherwise; of two first ones at once Tryton refuses one.
		const periods = await this.search('account.period', ['fiscalyear', '=', id]);
		await this.create('account.journal.period', ...periods.map((period) => ({ journal, period })));
	}

	// For the outbox, with no more rights than it needs: create, post and cancel, read balances.
	async outboxUser(password, companies) {
		const groups = await this.search('res.group', ['name', 'in', ['Account', 'Account Administration']]);
		await this.create('res.user', { name: 'Outbox', login: 'outbox', password, company: companies[0],
			companies: [['add', companies]], groups: [['add', groups]],
			company_filter: 'all' });
	}

	async buyers(buyers) {
		const keys = [...buyers.keys()];
		const ids = await this.create('party.party', ...keys.map((key) => ({ name: buyers.get(key).name,
			addresses: [['create', [{ city: buyers.get(key).city }]]] })));
		const read = await this.call('model.party.party.read', ids, ['addresses']);
		const address = new Map(read.map((p) => [p.id, p.addresses[0]]));
		return keys.map((key, i) => ({ key, party: ids[i], address: address.get(ids[i]) }));
	}

	// ---------- after ----------

	async balance(companies) {
		// an account in a currency without decimals is told with one
		const amount = ({ decimal }) => decimal.replace(/\.0$/, '');
		const lines = [];
		for (const { code, company } of companies) {
			this.context = { company, posted: true };
			const accounts = await this.call('model.account.account.search_read', [['type', '!=', null], ['company', '=', company]],
				0, null, [['name', 'ASC']], ['name', 'debit', 'credit', 'balance']);
			lines.push({ currency: code, accounts: accounts.map((a) => ({ name: a.name,
				debit: amount(a.debit), credit: amount(a.credit), balance: amount(a.balance) })) });
		}
		return lines;
	}

	async invoices(companies) {
		const lines = [];
		for (const { code, company } of companies) {
			this.context = { company };
			const found = await this.call('model.account.invoice.search_read', [['company', '=', company]], 0, null, [['id', 'ASC']],
				['number', 'reference', 'description', 'state', 'total_amount', 'move', 'cancel_move']);
			lines.push(...found.map((i) => ({ currency: code, id: i.id, number: i.number, seller: i.reference,
				tracking_id: i.description, state: i.state, total: i.total_amount.decimal, move: i.move, cancel_move: i.cancel_move })));
		}
		return lines;
	}
}

module.exports = { Books };
