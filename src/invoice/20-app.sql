-- app: what is submitted, held and saved.

CREATE TABLE @extschema@.invoice_submission (
	tracking_id uuid PRIMARY KEY,
	execution_id uuid NOT NULL,			-- the one that works on it now, or did last
	seller_key text NOT NULL,
	number text NOT NULL,
	seller text,
	buyer text,
	currency text,
	attempts integer NOT NULL DEFAULT 1,
	submitted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	superseded_at timestamptz,
	document json NOT NULL,
	type_code text,
	issue_date date,
	credit_note boolean NOT NULL DEFAULT false,
	number_scope text NOT NULL DEFAULT '',
	number_key text,
	possible_duplicate boolean NOT NULL DEFAULT false,
	left_by uuid[] NOT NULL DEFAULT '{}',	-- earlier executions that have left something
	original json,
	source_format text,
	source_format_version integer
) WITH (autovacuum_vacuum_insert_scale_factor = 0.5, autovacuum_analyze_scale_factor = 0.2);
CREATE UNIQUE INDEX invoice_submission_number ON @extschema@.invoice_submission (seller_key, number, number_scope)
	WHERE superseded_at IS NULL;
-- Of numbers that look alike one is the first; another that comes at the same moment waits for it here.
CREATE UNIQUE INDEX invoice_submission_first ON @extschema@.invoice_submission (seller_key, number_key, number_scope)
	WHERE superseded_at IS NULL AND NOT possible_duplicate;
CREATE INDEX invoice_submission_duplicate ON @extschema@.invoice_submission (seller_key, number_key, number_scope)
	WHERE possible_duplicate;
COMMENT ON TABLE @extschema@.invoice_submission IS 'documents as received, one row for each tracking id';
COMMENT ON COLUMN @extschema@.invoice_submission.tracking_id IS 'what invoice_submit returned; the id of the first execution';
COMMENT ON COLUMN @extschema@.invoice_submission.execution_id IS 'the execution that works on it now, or did last';
COMMENT ON COLUMN @extschema@.invoice_submission.seller_key IS
	'who the seller is: vat:, reg: or id: with the VAT id, legal registration id or first identifier in upper case without blanks, dots and hyphens; else name: with the name in lower case';
COMMENT ON COLUMN @extschema@.invoice_submission.attempts IS 'executions so far: 1, and one more for each retry';
COMMENT ON COLUMN @extschema@.invoice_submission.superseded_at IS
	'when it made room for another document of the same seller and number, having failed; such a one cannot be retried';
COMMENT ON COLUMN @extschema@.invoice_submission.document IS 'as received, or as last corrected with invoice_retry';
COMMENT ON COLUMN @extschema@.invoice_submission.type_code IS 'kind of the document; null when it is longer than a code';
COMMENT ON COLUMN @extschema@.invoice_submission.issue_date IS 'null when it is no date';
COMMENT ON COLUMN @extschema@.invoice_submission.credit_note IS 'whether type_code is one of a credit note, whose amounts are positive and mean the opposite';
COMMENT ON COLUMN @extschema@.invoice_submission.number_scope IS
	'what else tells two invoices of one seller and number apart, see invoice_set_number_scope; empty by default';
COMMENT ON COLUMN @extschema@.invoice_submission.number_key IS
	'the number in one spelling, see invoice_number_key: numbers of one key look alike';
COMMENT ON COLUMN @extschema@.invoice_submission.possible_duplicate IS
	'another invoice of the seller had a number that looks alike, or it made room for one and something of it may stand: a person is asked (INV-DUPLICATE)';
COMMENT ON COLUMN @extschema@.invoice_submission.original IS 'what a format has made the document of, as received; null when it was submitted as it is';
COMMENT ON COLUMN @extschema@.invoice_submission.source_format IS 'that format';
COMMENT ON COLUMN @extschema@.invoice_submission.source_format_version IS 'and its version, see invoice_source_formats';

CREATE TABLE @extschema@.invoice_document_history (
	tracking_id uuid NOT NULL,
	replaced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	replaced_by text NOT NULL DEFAULT session_user,
	document json NOT NULL,
	original json,
	source_format text,
	source_format_version integer,
	PRIMARY KEY (tracking_id, replaced_at)
);
COMMENT ON TABLE @extschema@.invoice_document_history IS 'documents that invoice_retry replaced with a corrected one';

CREATE TABLE @extschema@.invoice_approval (
	token text PRIMARY KEY,
	tracking_id uuid NOT NULL,
	execution_id uuid NOT NULL,
	reason text NOT NULL,
	currency text,
	payable numeric,
	held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	decided_at timestamptz,
	decision text CHECK (decision IN ('approved', 'rejected', 'withdrawn')),
	decided_by text,
	note text,
	messages text[],
	CHECK ((decided_at IS NULL) = (decision IS NULL))
);
CREATE INDEX invoice_approval_tracking ON @extschema@.invoice_approval (tracking_id);
CREATE INDEX invoice_approval_open ON @extschema@.invoice_approval (held_at) WHERE decided_at IS NULL;
COMMENT ON TABLE @extschema@.invoice_approval IS 'invoices that were held for a person, and what the person decided';
COMMENT ON COLUMN @extschema@.invoice_approval.token IS 'task token of the waiting step';
COMMENT ON COLUMN @extschema@.invoice_approval.reason IS 'why it was held: ids of the warnings, or that it is above the limit';
COMMENT ON COLUMN @extschema@.invoice_approval.messages IS 'the same in words, each with its place in the document';
COMMENT ON COLUMN @extschema@.invoice_approval.decision IS
	'approved or rejected by a person; withdrawn: cancelled, or the step began anew';

CREATE TABLE @extschema@.invoice_approval_limit (
	currency text PRIMARY KEY,
	approval_limit numeric NOT NULL CHECK (approval_limit >= 0)
);
COMMENT ON TABLE @extschema@.invoice_approval_limit IS 'amounts above which an invoice is held, see invoice_set_approval_limit';
COMMENT ON COLUMN @extschema@.invoice_approval_limit.currency IS 'ISO 4217 code, or default for all others';

-- Ids, never names: a name means what its user has of it.
CREATE TABLE @extschema@.invoice_setting (
	workflow_id integer,
	inbox_workflow_id integer,
	current boolean NOT NULL,
	set_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	number_with text[] NOT NULL DEFAULT '{}' CHECK (number_with <@ '{kind,year}'),
	PRIMARY KEY (workflow_id, inbox_workflow_id)
);
CREATE UNIQUE INDEX invoice_setting_current ON @extschema@.invoice_setting (current) WHERE current;
COMMENT ON TABLE @extschema@.invoice_setting IS 'the workflows of invoices, made by invoice_setup; earlier ones stay, as their invoices do';
COMMENT ON COLUMN @extschema@.invoice_setting.workflow_id IS 'in saga.workflows: what an invoice goes through';
COMMENT ON COLUMN @extschema@.invoice_setting.inbox_workflow_id IS 'what a document goes through that a source brings';
COMMENT ON COLUMN @extschema@.invoice_setting.current IS 'what is submitted or retried now goes to it';
COMMENT ON COLUMN @extschema@.invoice_setting.number_with IS
	'what, beside seller and number, tells two invoices apart: kind (type_code), year (of issue_date); see invoice_set_number_scope';

-- No foreign keys between the tables below: one function writes them, and a
-- check for each line would cost more than the line.
CREATE TABLE @extschema@.invoice (
	tracking_id uuid PRIMARY KEY,
	seller_key text NOT NULL,
	number text NOT NULL,
	seller text,
	buyer text,
	type_code text,
	currency text,
	issue_date date,
	due_date date,
	line_total numeric NOT NULL,
	allowance_total numeric NOT NULL,
	charge_total numeric NOT NULL,
	tax_exclusive numeric NOT NULL,
	tax_total numeric NOT NULL,
	tax_inclusive numeric NOT NULL,
	prepaid numeric NOT NULL,
	rounding numeric NOT NULL,
	payable numeric NOT NULL,
	settlement text NOT NULL,
	status text NOT NULL CHECK (status IN ('valid', 'void')),
	saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	voided_at timestamptz
);
CREATE INDEX invoice_number ON @extschema@.invoice (seller_key, number);
COMMENT ON TABLE @extschema@.invoice IS 'invoices and credit notes that passed the rules, with their totals';
COMMENT ON COLUMN @extschema@.invoice.settlement IS 'payment: it is paid; credit: a credit is given; none: nothing is due';
COMMENT ON COLUMN @extschema@.invoice.status IS 'void: the work behind it failed or was cancelled and has been undone';

CREATE TABLE @extschema@.invoice_line (
	tracking_id uuid NOT NULL,
	line integer NOT NULL,
	line_id text,
	name text,
	quantity numeric,
	unit_code text,
	unit_price numeric,
	price_base_quantity numeric,
	net_amount numeric NOT NULL,
	vat_category text,
	vat_rate numeric,
	PRIMARY KEY (tracking_id, line)
);
COMMENT ON TABLE @extschema@.invoice_line IS 'lines of invoices';
COMMENT ON COLUMN @extschema@.invoice_line.line IS 'position in the document, from 1';
COMMENT ON COLUMN @extschema@.invoice_line.line_id IS 'the id that the document gives it';

CREATE TABLE @extschema@.invoice_vat (
	tracking_id uuid NOT NULL,
	position integer NOT NULL,
	category text NOT NULL,
	rate numeric,
	taxable_amount numeric NOT NULL,
	tax_amount numeric NOT NULL,
	PRIMARY KEY (tracking_id, position)
);
COMMENT ON TABLE @extschema@.invoice_vat IS 'VAT breakdown of invoices';

SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_submission'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_document_history'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_approval'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_approval_limit'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_setting'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_line'::pg_catalog.regclass, '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.invoice_vat'::pg_catalog.regclass, '');
