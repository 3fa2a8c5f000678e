-- The steps, as far as this example needs them. They are migrations of the application, not of the workflows.
CREATE SCHEMA IF NOT EXISTS shop;
CREATE OR REPLACE FUNCTION shop.ask_manager(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT i $$;
CREATE OR REPLACE FUNCTION shop.pay(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('paid', i -> 'amount') $$;
CREATE OR REPLACE FUNCTION shop.refund(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT i -> 'output' $$;
CREATE OR REPLACE FUNCTION shop.ship(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"number": "P-1"}'::jsonb $$;
CREATE OR REPLACE FUNCTION shop.is_paid(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT 'true'::jsonb $$;
CREATE OR REPLACE FUNCTION shop.remind(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT i $$;
