INSERT INTO bench_message (queue_id, id, message_id, sent_at, kind, body)
VALUES (1, saga.make_id(), saga.make_id(), now(), 'm', :body::jsonb);
