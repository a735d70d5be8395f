-- Ids that change: single, composite, and by an index that is no primary key.
CREATE TABLE items (id int PRIMARY KEY, name text);
CREATE TABLE members (team int, person text, role text, PRIMARY KEY (team, person));
CREATE TABLE parts (id int PRIMARY KEY, code text NOT NULL, name text);
CREATE UNIQUE INDEX parts_code ON parts (code);
ALTER TABLE parts REPLICA IDENTITY USING INDEX parts_code;

INSERT INTO items VALUES (1, 'a'), (2, 'b');
UPDATE items SET id = id + 10;
UPDATE items SET id = id;
DELETE FROM items WHERE id = 11;

INSERT INTO members VALUES (1, 'ann, the "first"', 'lead'), (1, 'back\slash', NULL);
UPDATE members SET role = 'guest';
UPDATE members SET team = 2 WHERE role = 'guest' AND person LIKE 'back%';
DELETE FROM members;

INSERT INTO parts VALUES (1, 'x', 'a');
UPDATE parts SET name = 'b';
UPDATE parts SET id = 2;
UPDATE parts SET code = 'y';
DELETE FROM parts;
