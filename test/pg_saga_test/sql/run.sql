-- Transitions of a run (src/asl/run*.c), an event at a time, frozen and thawed wherever it parks.  What a script of answers
-- can show is in sql/asl.sql, by saga.simulate(); here are second answers, late ones, and those who end it from outside.
CREATE EXTENSION pg_saga_test;
SET search_path = saga_test, public;
CREATE FUNCTION pg_temp.task(name text, more jsonb DEFAULT '{"End": true}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object(name, '{"Type": "Task", "Resource": "sql:public.f"}'::jsonb || more)
$$;
CREATE FUNCTION pg_temp.machine(first text, VARIADIC states jsonb[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('StartAt', first, 'States', (SELECT jsonb_object_agg(key, value) FROM unnest(states) AS s, jsonb_each(s)))
$$;
-- One, which waits for its callback.
SELECT pg_temp.machine('A', pg_temp.task('A', '{"Resource": "sql:public.f.waitForTaskToken", "TimeoutSeconds": 60, "HeartbeatSeconds": 20, "End": true}')) AS waits \gset
-- Two that are undone, and one behind them.
SELECT pg_temp.machine('A', pg_temp.task('A', '{"Compensate": "UndoA", "Next": "B"}'), pg_temp.task('B', '{"Compensate": "UndoB", "Next": "C"}'),
	pg_temp.task('C'), pg_temp.task('UndoA', '{}'), pg_temp.task('UndoB', '{}')) AS undone \gset

-- ---------- a callback ----------
SELECT * FROM run(:'waits', '[{"parked": true}, {"after": 5000, "succeed": {"x": 1}}]');
SELECT * FROM run(:'waits', '[{"parked": true}, {"after": 5000, "fail": "E"}]');
-- it may come before the step that makes it known has ended, and later than its time limit, if nobody has fired that
SELECT * FROM run(:'waits', '[{"succeed": 1}]');
SELECT * FROM run(:'waits', '[{"parked": true}, {"after": 600000, "succeed": 1}]');
-- a second one is not taken, nor one for a task that there is not
SELECT * FROM run(pg_temp.machine('A', pg_temp.task('A', '{"Next": "B"}'), pg_temp.task('B')), '[{"parked": true}, {"succeed": 1}, {"of": 1, "succeed": 2}, {"of": 7, "fail": "E"}, {"of": 2, "succeed": 3}]');
-- one after its time limit was fired is not
SELECT * FROM run(:'waits', '[{"parked": true}, {"after": 20000}]');
SELECT * FROM run(pg_temp.machine('A', pg_temp.task('A', '{"TimeoutSeconds": 60, "Retry": [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 10}], "End": true}')),
	'[{"parked": true}, {"after": 60000}, {"of": 1, "succeed": 1}, {"after": 10000}, {"of": 1, "fail": "E"}, {"of": 2, "succeed": 2}]');
-- each heartbeat gives it as long again, and none more than the limit of the whole
SELECT * FROM run(:'waits', '[{"parked": true}, {"after": 15000, "heartbeat": true}, {"after": 15000, "heartbeat": true}, {"after": 15000, "heartbeat": true}, {"after": 14000, "heartbeat": true}, {"after": 1000}]');
-- a wake-up for nothing is harmless
SELECT * FROM run(:'waits', '[{"parked": true}, {"after": 1}, {"after": 1}, {"after": 1, "succeed": 1}]');

-- ---------- waits, and branches ----------
SELECT * FROM run('{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 10, "Next": "X"}, "X": {"Type": "Succeed"}}}', '[{"after": 9999}, {"after": 1}]');
SELECT pg_temp.machine('P', jsonb_build_object('P', jsonb_build_object('Type', 'Parallel', 'End', true, 'Branches',
	jsonb_build_array(pg_temp.machine('A', pg_temp.task('A')), pg_temp.machine('B', pg_temp.task('B')))))) AS branches \gset
-- their results are in the order of the branches, whichever comes first
SELECT * FROM run(:'branches', '[{"parked": true}, {"parked": true}, {"of": 2, "succeed": "b"}, {"of": 1, "succeed": "a"}]');
-- one that fails takes the others along, whose answers are not taken any more
SELECT * FROM run(:'branches', '[{"parked": true}, {"parked": true}, {"of": 1, "fail": "E"}]');
SELECT * FROM run(pg_temp.machine('P', jsonb_set(:'branches'::jsonb -> 'States', '{P}', (:'branches'::jsonb #> '{States,P}') - 'End' || '{"Catch": [{"ErrorEquals": ["E"], "Next": "C"}], "Next": "C"}'), pg_temp.task('C')),
	'[{"parked": true}, {"parked": true}, {"of": 1, "fail": "E"}, {"of": 2, "succeed": "b"}, {"of": 3, "succeed": "c"}]');

-- ---------- it is stopped ----------
SELECT * FROM run(:'waits', '[{"parked": true}, {"stop": "enough"}]');
-- with what is done undone, the last one first; without; and before anything is done
SELECT * FROM run(:'undone', '[{"succeed": "a"}, {"succeed": "b"}, {"parked": true}, {"stop": "enough", "compensate": true}, {"succeed": 1}, {"succeed": 1}]');
SELECT * FROM run(:'undone', '[{"succeed": "a"}, {"succeed": "b"}, {"parked": true}, {"stop": "enough", "compensate": false}]');
SELECT * FROM run(:'undone', '[{"stop": "enough", "compensate": true}]');
-- twice, while it is being undone: the second one changes nothing
SELECT * FROM run(:'undone', '[{"succeed": "a"}, {"succeed": "b"}, {"parked": true}, {"stop": "enough", "compensate": true}, {"parked": true}, {"stop": "really", "compensate": true}, {"of": 4, "succeed": 1}, {"succeed": 1}]');

-- ---------- the engine gives up ----------
SELECT * FROM run(:'undone', '[{"succeed": "a"}, {"give_up": "Saga.WorkerCrashed"}, {"succeed": 1}]');
SELECT * FROM run(:'undone', '[{"succeed": "a"}, {"kill": "Saga.WorkerCrashed"}]');
-- a handler that fails is listed, and the others go on
SELECT * FROM run(:'undone', '[{"succeed": "a"}, {"succeed": "b"}, {"fail": "E"}, {"fail": "F"}, {"succeed": 1}]');

-- ---------- a call outside whose outcome nobody has told yet ----------
SELECT pg_temp.machine('A', pg_temp.task('A', '{"Resource": "arn:aws:states:::http:invoke", "Parameters": {"ApiEndpoint": "there"}, "TimeoutSeconds": 60, "Compensate": "UndoA", "End": true}'), pg_temp.task('UndoA', '{}')) AS calls \gset
-- its time is over: how it went is found out first, and then it is undone, or not
SELECT fate, r.* FROM unnest('{none,no effect,done,unknown}'::text[]) WITH ORDINALITY AS f(fate, n),
	run(:'calls', '[{"parked": true}, {"after": 60000}, {"succeed": 1}]', jsonb_build_object('1', fate)) AS r ORDER BY n, at, what;
SELECT * FROM run(:'calls', '[{"parked": true}, {"after": 60000}, {"after": 5000, "of": 1, "succeed": "paid"}, {"succeed": 1}]', '{"1": "in doubt"}');
SELECT * FROM run(:'calls', '[{"parked": true}, {"after": 60000}, {"after": 5000, "of": 1, "fail": "States.Http.StatusCode.400"}]', '{"1": "in doubt"}');
-- an answer that leaves it open changes nothing as long as somebody still finds out
SELECT * FROM run(:'calls', '[{"parked": true}, {"after": 60000}, {"after": 5000, "of": 1, "fail": "Saga.Uncertain", "in_doubt": true}]', '{"1": "in doubt"}');
-- stopped while it is owed
SELECT * FROM run(:'calls', '[{"parked": true}, {"stop": "enough", "compensate": true}, {"of": 1, "succeed": "paid"}, {"succeed": 1}]', '{"1": "in doubt"}');

-- ---------- frozen and thawed, it does the same ----------
SELECT count(*) AS runs, count(*) FILTER (WHERE run_json(d, '{}', e, true, '{"1": "in doubt"}') <> run_json(d, '{}', e, false, '{"1": "in doubt"}')) AS differ
FROM (VALUES (:'waits'::jsonb), (:'undone'), (:'branches'), (:'calls')) AS d(d),
	(SELECT jsonb_build_array(a, b, c, d) FROM (SELECT '[{"parked": true}, {"after": 60000}, {"of": 1, "succeed": 1}, {"of": 1, "fail": "E"}, {"stop": "s", "compensate": true}, {"succeed": 2}]'::jsonb) AS v(all_of),
		jsonb_array_elements(all_of) AS a, jsonb_array_elements(all_of) AS b, jsonb_array_elements(all_of) AS c, jsonb_array_elements(all_of) AS d) AS e(e);

-- ---------- what reads the items of a Map ----------
-- it has as long as the execution, and not a moment less: else it would be the Map that fails
SELECT * FROM run(jsonb_set(pg_temp.machine('A', pg_temp.task('A', '{"Next": "M"}'), '{"M": {"Type": "Map", "End": true, "ItemReader": {"Resource": "sql:public.f"},
	"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}}}'), '{TimeoutSeconds}', '60'),
	'[{"us": 1, "succeed": 1}, {"parked": true}, {"after": 60000}]');
