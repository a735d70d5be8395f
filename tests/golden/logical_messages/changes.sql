-- Messages in transactions and on their own, of our prefixes and of others.
CREATE TABLE todos (id int PRIMARY KEY);

BEGIN;
SELECT pg_logical_emit_message(true, 'walcast', '{"mutationId":"m-1"}');
INSERT INTO todos VALUES (1);
SELECT pg_logical_emit_message(true, 'walcast:event', '{"channel":"a","name":"x","data":{}}');
SELECT pg_logical_emit_message(true, 'somebody else', 'any text');
INSERT INTO todos VALUES (2);
COMMIT;

SELECT pg_logical_emit_message(false, 'walcast:event', '{"mutationId":"m-2","rejected":true}');
INSERT INTO todos VALUES (3);
SELECT pg_logical_emit_message(false, 'walcast', '{}');
SELECT pg_logical_emit_message(false, 'somebody else', 'any text');
INSERT INTO todos VALUES (4);

-- Survives its transaction, and comes before what was begun earlier.
BEGIN;
INSERT INTO todos VALUES (5);
SELECT pg_logical_emit_message(false, 'walcast:event', '{}');
ROLLBACK;

BEGIN;
INSERT INTO todos VALUES (6);
SELECT pg_logical_emit_message(false, 'walcast:event', '{}');
COMMIT;

-- A transaction of a message alone.
SELECT pg_logical_emit_message(true, 'walcast:event', '{}');
INSERT INTO todos VALUES (7);
