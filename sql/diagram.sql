-- diagrams of workflows, and of what executions did
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA app;
CREATE FUNCTION app.step(i jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i ->> 'fail' IS NOT NULL THEN
		PERFORM saga.fail(i ->> 'fail', 'as told');
	END IF;
	RETURN i;
END $$;
SELECT $def${"StartAt": "Go?", "States": {"Go?": {"Type": "Choice", "Choices": [{"Variable": "$.go", "IsPresent": true, "Next": "Both"}, {"Variable": "$.no", "IsPresent": true, "Next": "Never \"mind\" --> <b>;#\\"}], "Default": "Try"},
"Try": {"Type": "Task", "Resource": "sql:app.step", "Catch": [{"ErrorEquals": ["Known", "Other"], "ResultPath": null, "Next": "Both"}], "Compensate": "Undo", "Next": "Both"}, "Undo": {"Type": "Task", "Resource": "sql:app.step"},
"Both": {"Type": "Parallel", "Branches": [{"StartAt": "Left", "States": {"Left": {"Type": "Pass", "Next": "Left 2"}, "Left 2": {"Type": "Pass", "End": true}}}, {"StartAt": "Right", "States": {"Right": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": {"StartAt": "Item", "States": {"Item": {"Type": "Task", "Resource": "sql:app.step", "End": true}}}, "End": true}}}], "ResultPath": "$.both", "Next": "Hold"},
"Never \"mind\" --> <b>;#\\": {"Type": "Fail"}, "Hold": {"Type": "Wait", "SecondsPath": "$.wait", "Next": "Last"}, "Last": {"Type": "Task", "Resource": "sql:app.step", "Parameters": {"fail.$": "$.last"}, "Retry": [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1, "BackoffRate": 1}], "End": true}}}$def$ AS def \gset
SELECT saga.create_workflow('w', :'def');
SELECT saga.workflow_diagram('w');
SELECT saga.workflow_diagram('w', 'dot');
SELECT saga.workflow_diagram('w') = saga.workflow_diagram(:'def'::jsonb) AS same;
-- it succeeds
SELECT saga.start_execution('w', '{"items": [{}, {}], "wait": 0, "last": null}') AS id \gset
CALL saga.drain();
SELECT status FROM saga.executions WHERE execution_id = :'id';
SELECT saga.workflow_diagram('w', 'mermaid', :'id');
SELECT saga.workflow_diagram('w', 'dot', :'id');
-- caught; the version that it ran; then it fails, after a second try
SELECT saga.start_execution('w', '{"fail": "Known", "items": [], "wait": 0, "last": "Again"}') AS id \gset
CALL saga.drain();
SELECT saga.create_workflow('w', '{"StartAt": "New", "States": {"New": {"Type": "Succeed"}}}');
CREATE PROCEDURE drained(execution uuid) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..1800 LOOP
		CALL saga.drain();
		EXIT WHEN EXISTS (SELECT FROM saga.executions e WHERE e.execution_id = execution AND e.stopped_at IS NOT NULL);
		PERFORM pg_sleep(0.1);
		COMMIT;
	END LOOP;
END $$;
CALL drained(:'id');
SELECT status, error FROM saga.executions WHERE execution_id = :'id';
SELECT regexp_matches(saga.workflow_diagram('w', 'mermaid', :'id'), '^.*(?:classDef|class|taken|attempts|visits).*$', 'gn');
-- on a definition that has some of its states
SELECT saga.workflow_diagram('{"StartAt": "Try", "States": {"Try": {"Type": "Pass", "Next": "More"}, "More": {"Type": "Pass", "End": true}}}'::jsonb, 'mermaid', :'id');
-- one that is undone
SELECT saga.create_workflow('u', '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "sql:app.step", "Compensate": "U", "Next": "W"}, "U": {"Type": "Task", "Resource": "sql:app.step"}, "W": {"Type": "Wait", "Seconds": 9999, "Next": "F"}, "F": {"Type": "Fail", "Error": "E"}}}');
SELECT saga.start_execution('u') AS id \gset
CALL saga.drain();
SELECT saga.workflow_diagram('u', 'mermaid', :'id');
SELECT saga.stop_execution(:'id');
CALL saga.drain();
SELECT saga.workflow_diagram('u', 'mermaid', :'id');
-- what is refused
SELECT saga.workflow_diagram('w', 'png');
SELECT saga.workflow_diagram('none');
SELECT saga.workflow_diagram('{"StartAt": "X", "States": {}}'::jsonb);
SELECT saga.workflow_diagram('u', 'dot', '00000000-0000-0000-0000-000000000000');
DROP SCHEMA app CASCADE;
