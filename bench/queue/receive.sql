SELECT saga.delete('bench', ids) FROM (SELECT coalesce(array_agg(message_id), '{}') AS ids FROM saga.receive('bench', 100)) r;
