-- What applications call to say whose a change is, to publish events, and to reject mutations. Run once by whoever may create
-- a schema; nobody needs to be a superuser, neither then nor later. Running it again changes nothing.
--
--   BEGIN; SELECT walcast.annotate('m-71'); UPDATE todos SET done = true WHERE id = 7; COMMIT;
--   SELECT walcast.reject('m-72', 'title is required', 'workspace:1');   -- Before or after ROLLBACK: it is heard.
--   SELECT walcast.publish('workspace:1', 'typing', '{"user": 1}');      -- Heard if the transaction commits.

CREATE SCHEMA IF NOT EXISTS walcast;
GRANT USAGE ON SCHEMA walcast TO PUBLIC;

-- The members that are not null; nulls inside of them are the application's.
CREATE OR REPLACE FUNCTION walcast.without_nulls(members jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS
$$
    SELECT coalesce(jsonb_object_agg(key, value) FILTER (WHERE value <> 'null'), '{}') FROM jsonb_each(members);
$$;

-- All messages of this transaction bear the mutation id and what else is said; a receipt is written for it. To be called first.
-- `channels` in `annotation` hear when the transaction is through, whatever else they hear of it.
CREATE OR REPLACE FUNCTION walcast.annotate(mutation_id text, annotation jsonb DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS
$$
DECLARE
    members jsonb := coalesce(annotation, '{}');
BEGIN
    IF coalesce(mutation_id, '') = '' THEN
        RAISE EXCEPTION 'walcast.annotate: mutation_id is missing'
            USING HINT = 'pg_logical_emit_message(true, ''walcast'', ...) annotates without one.';
    ELSIF jsonb_typeof(members) <> 'object' THEN
        RAISE EXCEPTION 'walcast.annotate: annotation is not a JSON object';
    ELSIF members ? 'mutationId' AND members ->> 'mutationId' IS DISTINCT FROM mutation_id THEN
        RAISE EXCEPTION 'walcast.annotate: annotation has another mutationId than %', mutation_id;
    END IF;
    PERFORM pg_logical_emit_message(true, 'walcast', (jsonb_build_object('mutationId', mutation_id) || members)::text);
END
$$;

-- Publishes an event on a channel if the transaction commits.
CREATE OR REPLACE FUNCTION walcast.publish(channel text, name text, data jsonb DEFAULT NULL, headers jsonb DEFAULT NULL,
                                           mutation_id text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS
$$
BEGIN
    IF coalesce(channel, '') = '' THEN
        RAISE EXCEPTION 'walcast.publish: channel is missing';
    END IF;
    PERFORM pg_logical_emit_message(true, 'walcast:event', walcast.without_nulls(jsonb_build_object('channel', channel,
        'name', name, 'data', data, 'headers', headers, 'mutationId', mutation_id))::text);
END
$$;

-- Announces that a mutation will not be: at once, and whatever becomes of this transaction. Its receipt says so, and so does
-- an event on the channel, if one is given. Before PostgreSQL 17 it is heard about 0.2 s after this transaction has ended, or
-- when the server writes its log out, which while the transaction stays open an idle one does only every few seconds.
CREATE OR REPLACE FUNCTION walcast.reject(mutation_id text, reason text DEFAULT NULL, channel text DEFAULT NULL,
                                          name text DEFAULT NULL, data jsonb DEFAULT NULL, headers jsonb DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS
$$
DECLARE
    content text := walcast.without_nulls(jsonb_build_object('mutationId', mutation_id, 'rejected', true, 'reason', reason,
        'channel', nullif(channel, ''), 'name', name, 'data', data, 'headers', headers));
BEGIN
    IF coalesce(mutation_id, '') = '' THEN
        RAISE EXCEPTION 'walcast.reject: mutation_id is missing';
    END IF;
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'SELECT pg_logical_emit_message(false, ''walcast:event'', $1, true)' USING content;
    ELSE
        -- The end of a transaction that has an xid wakes the WAL writer, which on an idle server sleeps for seconds.
        PERFORM pg_current_xact_id();
        PERFORM pg_logical_emit_message(false, 'walcast:event', content);
    END IF;
END
$$;
