-- Truncates between changes, of several tables, and by cascade.
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents);
CREATE TABLE unheard (id int PRIMARY KEY);

INSERT INTO parents VALUES (1);
INSERT INTO children VALUES (1, 1);
TRUNCATE parents CASCADE;

BEGIN;
INSERT INTO unheard VALUES (1);
INSERT INTO parents VALUES (2);
TRUNCATE unheard, children RESTART IDENTITY;
INSERT INTO parents VALUES (3);
COMMIT;

BEGIN;
TRUNCATE children;
ROLLBACK;

TRUNCATE unheard;
INSERT INTO parents VALUES (4);
