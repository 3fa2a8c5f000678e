SELECT saga.send('bench', :body::jsonb);
