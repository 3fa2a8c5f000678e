'use strict';
// OAuth 2: tokens for client credentials and for refresh tokens, which rotate: each use gives a new
// one, and the old one is refused from then on (mode refresh_grace_s: is taken again so long).

const { refusal } = require('./documents.js');
const { sha256 } = require('./shape.js');

// The client that the request proves to be, by basic authentication or (unless basicOnly) in the form.
function clientOf(service, req, form, basicOnly) {
	let id = basicOnly ? null : form.get('client_id');
	let secret = basicOnly ? null : form.get('client_secret');
	const m = /^Basic +(\S+)$/i.exec(req.headers.authorization ?? '');
	if (m !== null) {
		const [u, ...p] = Buffer.from(m[1], 'base64').toString('utf8').split(':');
		try {
			[id, secret] = [decodeURIComponent(u), decodeURIComponent(p.join(':'))];
		} catch {
			return null;
		}
	}
	return id !== null && secret !== null && service.clients.get(id) === secret ? id : null;
}

// One access token, and one refresh token where the grant has them: {changes, body}.
function issue(store, client, ttl, withRefresh, now) {
	const access = store.makeId('tok');
	const changes = [{ do: 'token', made: access.made, hash: sha256(access.id), client, until: now + ttl * 1000 }];
	const body = { access_token: access.id, token_type: 'bearer', expires_in: ttl };
	if (withRefresh) {
		const refresh = store.makeId('ref', 'prefixed', 1);
		changes.push({ do: 'refresh', made: refresh.made, hash: sha256(refresh.id), client });
		body.refresh_token = refresh.id;
	}
	return { changes, body };
}

// The token endpoint. grants: those that there are; basicOnly: no credentials in the form.
function token(service, x, { grants = ['client_credentials', 'refresh_token'], basicOnly = false, more = {} } = {}) {
	const { store } = service;
	const form = new URLSearchParams(x.text ?? '');
	const grant = form.get('grant_type');
	const now = Date.now();
	const note = (client, what, changes = []) => store.commit(x.record, [...changes, { do: 'oauth', client, what }], false);
	if (x.req.method !== 'POST') return refusal(405, 'method_not_allowed');
	if (!grants.includes(grant)) return refusal(400, 'unsupported_grant_type');
	const client = clientOf(service, x.req, form, basicOnly);
	if (client === null) {
		note(form.get('client_id') ?? 'anonymous', 'refused');
		return refusal(401, 'invalid_client');
	}
	if (grant === 'refresh_token') {
		const hash = sha256(form.get('refresh_token') ?? '');
		const known = store.state.refresh.get(hash);
		const stale = known?.used_at != null && now - known.used_at >= service.mode('refresh_grace_s') * 1000;
		if (known === undefined || known.client !== client || stale) {
			note(client, stale ? 'reused' : 'refused');
			return refusal(400, 'invalid_grant');
		}
		if (known.used_at === null) note(client, 'refreshed', [{ do: 'used', hash, at: now }]);
	} else {
		note(client, 'granted');
	}
	const { changes, body } = issue(store, client, service.mode('token_ttl_s'), grant === 'refresh_token', now);
	store.commit(x.record, changes, false);
	return { status: 200, body: { ...body, ...more }, headers: { 'cache-control': 'no-store' } };
}

// The first refresh token of a client, as after a person's consent.
function consent(service, client) {
	const refresh = service.store.makeId('ref');
	service.store.commit(null, [{ do: 'refresh', made: refresh.made, hash: sha256(refresh.id), client }], false);
	return { refresh_token: refresh.id };
}

module.exports = { token, consent };
