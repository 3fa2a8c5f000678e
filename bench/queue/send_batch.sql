SELECT count(*) FROM saga.send_batch('bench', array_fill(:body::jsonb, ARRAY[100]));
