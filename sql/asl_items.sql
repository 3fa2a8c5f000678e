-- Items of a Map: of an array, of an object, read from an object of S3; what the context object says of each.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
CREATE SCHEMA items;
SET search_path = items, public;
CREATE FUNCTION map(fields jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('StartAt', 'M', 'States', jsonb_build_object('M', '{"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}}'::jsonb || fields))
$$;
CREATE FUNCTION distributed(fields jsonb) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_set(items.map(fields), '{States,M,ItemProcessor,ProcessorConfig}', '{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}') $$;
CREATE FUNCTION simulated(definition jsonb, input jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', r ->> 'status', r -> 'output', r ->> 'error', r ->> 'cause', CASE WHEN r <> saga.simulate(definition, input, '{}', '{"freeze": true}') THEN 'DIFFERS WHEN FROZEN' END)
	FROM saga.simulate(definition, input) AS r
$$;
-- what an execution comes to, and the one before
CREATE FUNCTION start(definition jsonb, input jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS
	$$ SELECT saga.create_workflow('items', definition); SELECT saga.start_execution('items', input) $$;
CREATE FUNCTION said() RETURNS text LANGUAGE sql AS
	$$ SELECT concat_ws(' ', status, output, error, cause) FROM saga.executions WHERE started_by IS NULL ORDER BY execution_id DESC LIMIT 1 $$;

-- ---------- the state's data ----------
SELECT simulated(map('{"ItemSelector": {"item.$": "$$.Map.Item"}}'), '[7, {"a": 1}]');
SELECT simulated(map('{}'), '{"b": 1, "a": {"x": 2}, "long": null}');
SELECT simulated(map('{"ItemsPath": "$.o", "ItemSelector": {"item.$": "$$.Map.Item", "k.$": "$$.Map.Item.Key"}, "MaxConcurrency": 1}'), '{"o": {"b": 1, "a": [2]}}');
SELECT simulated(map('{}'), '{}');
SELECT simulated(map('{}'), '"a"');
SELECT simulated(map('{"ItemSelector": {"k.$": "$$.Map.Item.Key"}}'), '[1]');
-- a member that looks like an item of an object is none
SELECT simulated(map('{"ItemSelector": {"v.$": "$$.Map.Item.Value"}}'), '[{"Key": "k", "Value": 1}]');
-- one that waits keeps its key
SELECT simulated(jsonb_set(map('{"ItemSelector": {"k.$": "$$.Map.Item.Key"}}'), '{States,M,ItemProcessor,States}',
	'{"I": {"Type": "Wait", "Seconds": 1, "Next": "J"}, "J": {"Type": "Pass", "Parameters": {"in.$": "$", "item.$": "$$.Map.Item"}, "End": true}}'), '{"b": 1, "a": 2}');
SELECT saga.test_state(map('{"ItemSelector": {"item.$": "$$.Map.Item"}}') #> '{States,M}', '{"a": 1}', mock => '{"result": []}', options => '{"inspectionLevel": "DEBUG"}') #> '{inspectionData,afterItemSelector}';
SELECT start(distributed('{"ItemsPath": "$.o", "ItemSelector": {"item.$": "$$.Map.Item"}}'), '{"o": {"b": 1, "a": [2]}}');
CALL saga.drain();
SELECT said();
SELECT start(distributed('{"ItemBatcher": {"MaxItemsPerBatch": 2}}'), '{"b": 1, "a": 2, "c": 3}');
CALL saga.drain();
SELECT said();

-- ---------- S3 ----------
CREATE FUNCTION s3_reader(config jsonb DEFAULT '{}', fields jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT items.distributed(jsonb_build_object('ItemReader', jsonb_build_object('Resource', 'arn:aws:states:::s3:getObject', 'Parameters', '{"Bucket": "b", "Key.$": "$.key"}'::jsonb, 'ReaderConfig', config)) || fields)
$$;
SELECT * FROM saga.validate(s3_reader('{"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a"], "CSVDelimiter": "PIPE", "ItemsPointer": "/a", "MaxItems": 0}'));
SELECT location, message FROM saga.validate(s3_reader('{"CSVDelimiter": "X", "CSVHeaderLocation": "X", "Y": 1}'));
SELECT location, message FROM saga.validate(distributed('{"ItemReader": {"Resource": "sql:items.a", "ReaderConfig": {"InputType": "CSV"}}}'));
SELECT location, message FROM saga.validate(distributed('{"ItemReader": {"Resource": "arn:aws:states:::s3:putObject"}, "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject"}}'));
-- stands for nothing yet
SELECT start(s3_reader(), '{"key": "a.json"}');
CALL saga.drain();
SELECT said();
CREATE TABLE object (key text, body text);
INSERT INTO object VALUES ('a.json', '[{"n": 1}, "two", 3]'), ('o.json', '{"list": {"y": 1, "x": [2]}}'), ('l.jsonl', E'{"n": 1}\n\n2\n'), ('c.csv', E'n,m\n1,"a,""b"""\n2\n'), ('p.csv', '1|2'), ('bad', '[1'), ('scalar', '1');
CREATE FUNCTION get_object(i jsonb) RETURNS text LANGUAGE sql AS $$ SELECT body FROM items.object WHERE key = i ->> 'Key' $$;
SELECT saga.bind_resource('arn:aws:states:::s3:getObject', 'sql:items.get_object');
CREATE PROCEDURE reads(key text, config jsonb, fields jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$ BEGIN PERFORM items.start(items.s3_reader(config, fields), jsonb_build_object('key', key)); END $$;
CALL reads('a.json', '{}', '{"ItemSelector": {"v.$": "$$.Map.Item.Value", "s.$": "$$.Map.Item.Source"}}');
CALL saga.drain();
SELECT said();
CALL reads('a.json', '{"InputType": "JSON", "MaxItems": 2}');
CALL saga.drain();
SELECT said();
CALL reads('o.json', '{"ItemsPointer": "/list"}', '{"ItemSelector": {"item.$": "$$.Map.Item"}}');
CALL saga.drain();
SELECT said();
CALL reads('l.jsonl', '{"InputType": "JSONL"}');
CALL saga.drain();
SELECT said();
CALL reads('c.csv', '{"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}', '{"ItemBatcher": {"MaxItemsPerBatch": 5}}');
CALL saga.drain();
SELECT said();
CALL reads('p.csv', '{"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["n", "m"], "CSVDelimiter": "PIPE"}');
CALL saga.drain();
SELECT said();
CALL reads('bad', '{}');
CALL saga.drain();
SELECT said();
CALL reads('scalar', '{}');
CALL saga.drain();
SELECT said();
CALL reads('o.json', '{"ItemsPointer": "/nowhere"}');
CALL saga.drain();
SELECT said();
CALL reads('a.json', '{"InputType": "PARQUET"}');
CALL saga.drain();
SELECT said();
-- a function may give the items themselves
CREATE FUNCTION list_objects(i jsonb) RETURNS SETOF items.object LANGUAGE sql AS $$ SELECT * FROM items.object WHERE key LIKE i ->> 'Prefix' ORDER BY key $$;
SELECT saga.bind_resource('arn:aws:states:::s3:listObjectsV2', 'sql:items.list_objects');
SELECT start(distributed('{"ItemReader": {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "b", "Prefix": "%.csv"}}, "ItemSelector": {"k.$": "$$.Map.Item.Value.key", "s.$": "$$.Map.Item.Source"}}'));
CALL saga.drain();
SELECT said();
SELECT count(*) FROM saga.map_item;

-- ---------- functions by a part of their ARN ----------
CREATE FUNCTION one(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
CREATE FUNCTION two(i jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '2'::jsonb $$;
SELECT saga.bind_resource('arn:aws:lambda:us-east-1:111111111111:function:f', 'sql:items.one'), saga.bind_resource('arn:aws:lambda:us-east-1:222222222222:function:f', 'sql:items.two');
SELECT start(map('{"ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName.$": "$"}, "OutputPath": "$.Payload", "End": true}}}}'),
	'["f", "111111111111:function:f", "222222222222:function:f", "222222222222:function:f:live", "arn:aws:lambda:us-east-1:222222222222:function:f:3", "f:7"]');
CALL saga.drain();
SELECT said();
SELECT start(map('{"ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName.$": "$"}, "End": true}}}}'), '["333333333333:function:f"]');
CALL saga.drain();
SELECT said();
