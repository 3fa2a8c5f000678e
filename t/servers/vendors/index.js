'use strict';
// The shapes of vendors, by the prefix of their paths.

const SHAPES = [];

const vendors = (service) => SHAPES.map((S) => new S(service));

module.exports = { vendors };
