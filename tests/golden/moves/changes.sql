-- Rows that move between channels, seen under the full identity and unseen under the default one.
CREATE TABLE todos (id int PRIMARY KEY, workspace text, assignee int, title text);
ALTER TABLE todos REPLICA IDENTITY FULL;
CREATE TABLE notes (id int PRIMARY KEY, room text);

INSERT INTO todos VALUES (1, 'a', 5, 'x'), (2, 'a', NULL, 'y'), (3, NULL, NULL, 'z');
UPDATE todos SET title = 'x2' WHERE id = 1;
UPDATE todos SET workspace = 'b' WHERE id = 1;
UPDATE todos SET assignee = 6 WHERE id IN (1, 2);
UPDATE todos SET workspace = NULL WHERE id = 2;
UPDATE todos SET workspace = 'a:b/c' WHERE id = 3;
UPDATE todos SET id = 10, workspace = 'c', assignee = NULL WHERE id = 1;
DELETE FROM todos;

INSERT INTO notes VALUES (1, 'a'), (2, 'b');
UPDATE notes SET room = 'b' WHERE id = 1;
BEGIN;
DELETE FROM notes WHERE id = 1;
DELETE FROM notes WHERE id = 2;
COMMIT;
