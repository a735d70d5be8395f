-- Transactions that overlap and commit in another order than they began; several tables in one; savepoints; DDL between.
CREATE TABLE todos (id int PRIMARY KEY, workspace int, title text);
CREATE TABLE users (id int PRIMARY KEY, name text);
CREATE TABLE unheard (id int PRIMARY KEY);

-- session a
BEGIN;
INSERT INTO todos VALUES (1, 1, 'a1');
-- session b
BEGIN;
INSERT INTO todos VALUES (2, 1, 'b1');
INSERT INTO users VALUES (1, 'b2');
-- session a
INSERT INTO users VALUES (2, 'a2');
-- session b
INSERT INTO unheard VALUES (1);
INSERT INTO todos VALUES (3, 1, 'b3'), (4, 2, 'b4'), (5, 2, 'b5');
COMMIT;
-- session a
SAVEPOINT one;
INSERT INTO todos VALUES (6, 1, 'never');
ROLLBACK TO one;
INSERT INTO todos VALUES (7, 1, 'a3');
SAVEPOINT two;
INSERT INTO todos VALUES (8, 1, 'a4');
RELEASE two;
COMMIT;

-- session b
BEGIN;
INSERT INTO todos VALUES (9, 1, 'never');
ROLLBACK;

-- session main
BEGIN;
INSERT INTO users VALUES (3, 'before');
ALTER TABLE users ADD COLUMN email text DEFAULT 'none';
INSERT INTO users VALUES (4, 'after', 'x@example.com');
UPDATE users SET name = 'b2 again' WHERE id = 1;
COMMIT;

VACUUM users;
INSERT INTO users VALUES (5, 'vacuumed');
ALTER TABLE users DROP COLUMN name;
INSERT INTO users VALUES (6, 'y@example.com');
