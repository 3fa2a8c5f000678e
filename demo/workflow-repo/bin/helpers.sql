-- What a test may use, in its own transaction, of which nothing stays. "definitions" has the files of workflows/.

-- The definition of a workflow.
CREATE FUNCTION pg_temp.definition(workflow text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	found jsonb := (SELECT body FROM definitions d WHERE d.name = workflow);
BEGIN
	IF found IS NULL THEN
		RAISE 'there is no workflow "%" in workflows/', workflow;
	END IF;
	RETURN found;
END $$;

-- The value is what it has to be.
CREATE FUNCTION pg_temp."is"(what text, got jsonb, wanted jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF got IS DISTINCT FROM wanted THEN
		RAISE '%', what USING DETAIL = format(E'It is        %s\nand has to be %s', coalesce(got::text, 'null'), coalesce(wanted::text, 'null'));
	END IF;
END $$;

-- A dry run ends as the case says: {"name", "input", "responses", "ends": {"status", "output" or "error", "compensated"}}.
CREATE FUNCTION pg_temp.runs(workflow text, example jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ended jsonb := saga.simulate(pg_temp.definition(workflow), coalesce(example -> 'input', '{}'), coalesce(example -> 'responses', '{}'));
BEGIN
	PERFORM pg_temp."is"(format('%s: %s', workflow, example ->> 'name'),
		(SELECT jsonb_object_agg(key, ended -> key) FROM jsonb_object_keys(example -> 'ends') AS key), example -> 'ends');
END $$;

-- The same for all of them; and together they come to each state and each way of the workflow.
CREATE FUNCTION pg_temp.covers(workflow text, examples jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	missing text;
BEGIN
	PERFORM pg_temp.runs(workflow, e) FROM jsonb_array_elements(examples) AS e;
	SELECT string_agg(concat_ws(' to ', location, target), E'\n') INTO missing
		FROM saga.simulate_coverage(pg_temp.definition(workflow),
			ARRAY(SELECT e - 'name' - 'ends' FROM jsonb_array_elements(examples) AS e)) WHERE hits = 0;
	IF missing IS NOT NULL THEN
		RAISE '% has what no test comes to', workflow USING DETAIL = missing;
	END IF;
END $$;
