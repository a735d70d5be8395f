-- Moves between channels, ids and models of several rules on one table, and what each operation leaves out.
CREATE TABLE tasks (tenant int, name text, state text, members text[], PRIMARY KEY (tenant, name));
ALTER TABLE tasks REPLICA IDENTITY FULL;
CREATE TABLE keyed (id int PRIMARY KEY, code text UNIQUE, team int, at timestamptz);

INSERT INTO tasks VALUES (1, 'a,b', 'open', '{ann,bob}'), (1, 'c\d', 'done', NULL);
UPDATE tasks SET state = 'done' WHERE name = 'a,b';
UPDATE tasks SET state = 'open';
UPDATE tasks SET members = '{bob,cid}' WHERE name = 'a,b';
UPDATE tasks SET name = 'e' WHERE name = 'a,b';
UPDATE tasks SET tenant = 2, members = members || ARRAY['dan'];
UPDATE tasks SET state = NULL, tenant = 1 WHERE name = 'e';
BEGIN;
SAVEPOINT s;
DELETE FROM tasks;
ROLLBACK TO s;
DELETE FROM tasks WHERE name = 'e';
INSERT INTO tasks VALUES (1, 'e', 'open', '{}');
COMMIT;
DELETE FROM tasks;

INSERT INTO keyed VALUES (1, 'x', 7, NULL), (2, 'y', NULL, NULL);
UPDATE keyed SET at = '2024-01-01' WHERE id = 1;
UPDATE keyed SET team = 8 WHERE id = 1;
UPDATE keyed SET code = 'z', id = 3 WHERE id = 2;
UPDATE keyed SET team = NULL WHERE id = 1;
DELETE FROM keyed;
