'use strict';
// The shapes of vendors, by the prefix of their paths.

const { Xero } = require('./xero.js');
const { QuickBooks } = require('./quickbooks.js');
const { Stripe } = require('./stripe.js');
const { Odoo } = require('./odoo.js');
const { Tryton } = require('./tryton.js');

const SHAPES = [Xero, QuickBooks, Stripe, Odoo, Tryton];

const vendors = (service) => SHAPES.map((S) => new S(service));

module.exports = { vendors };
