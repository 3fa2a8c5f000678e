-- What the three definitions call. The names of the functions there are kept; each is bound to one of these.
CREATE SCHEMA step_functions;
SET search_path = step_functions, public;
CREATE TABLE stock (item text PRIMARY KEY, free int NOT NULL CHECK (free >= 0));
CREATE TABLE journal (at int GENERATED ALWAYS AS IDENTITY, what text NOT NULL);
INSERT INTO stock VALUES ('lamp', 5), ('table', 0);

CREATE FUNCTION reserve_stock(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	UPDATE step_functions.stock SET free = free - 1 WHERE item = i ->> 'item' AND free > 0;
	IF NOT FOUND THEN
		PERFORM saga.fail('OutOfStock', format('no %s is left', i ->> 'item'));
	END IF;
	INSERT INTO step_functions.journal (what) VALUES ('reserve ' || (i ->> 'item'));
	RETURN jsonb_build_object('item', i -> 'item');
END $$;
CREATE FUNCTION release_stock(i jsonb) RETURNS jsonb LANGUAGE sql AS $$
	UPDATE step_functions.stock SET free = free + 1 WHERE item = i ->> 'item';
	INSERT INTO step_functions.journal (what) VALUES ('release ' || (i ->> 'item'));
	SELECT 'true'::jsonb
$$;
CREATE FUNCTION charge_card(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF (i ->> 'amount')::numeric > 500 THEN
		PERFORM saga.fail('CardDeclined', 'over the limit');
	END IF;
	INSERT INTO step_functions.journal (what) VALUES ('charge ' || (i ->> 'amount'));
	RETURN jsonb_build_object('charge', i -> 'amount');
END $$;
CREATE FUNCTION refund_card(i jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO step_functions.journal (what) VALUES ('refund ' || (i ->> 'charge'));
	SELECT i
$$;
CREATE FUNCTION ship(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i ->> 'country' = 'moon' THEN
		PERFORM saga.fail('NoCarrier', 'nobody goes there');
	END IF;
	INSERT INTO step_functions.journal (what) VALUES ('ship ' || (i ->> 'item'));
	RETURN '{"number": "P-1"}';
END $$;
CREATE FUNCTION shrink(i jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('thumbnail', format('%s/%s.small', i ->> 'album', i ->> 'number')) $$;
-- The manager's desk: the token is what an answer is given with.
CREATE TABLE desk (execution text PRIMARY KEY, amount numeric, token text NOT NULL);
CREATE FUNCTION ask_manager(i jsonb) RETURNS jsonb LANGUAGE sql AS $$
	INSERT INTO step_functions.desk SELECT i ->> 'execution', (i ->> 'amount')::numeric, i ->> 'token';
	SELECT 'true'::jsonb
$$;

SELECT saga.bind_resource('arn:aws:lambda:eu-west-1:123456789012:function:' || name, 'sql:step_functions.' || replace(split_part(name, ':', 1), '-', '_'))
FROM unnest('{reserve-stock,release-stock,charge-card,refund-card,ship,shrink:live,ask-manager}'::text[]) AS name;
