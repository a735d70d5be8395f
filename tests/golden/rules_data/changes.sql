-- Columns, names, deltas and patches: whole rows where rows enter, leave a channel, or where the old row is not told.
CREATE TABLE items (id int PRIMARY KEY, title text, "a/b~c" jsonb, n numeric, secret text, body text, team text);
ALTER TABLE items REPLICA IDENTITY FULL;
ALTER TABLE items ALTER body SET STORAGE EXTERNAL;
CREATE TABLE keyed (id int PRIMARY KEY, title text, body text);
ALTER TABLE keyed ALTER body SET STORAGE EXTERNAL;

INSERT INTO items VALUES (1, 'one', '{"k": [1]}', 1.0, 'hush', repeat('x', 3000), 'a'), (2, NULL, NULL, NULL, NULL, NULL, 'a');
UPDATE items SET title = 'two' WHERE id = 1;
UPDATE items SET n = 1.00, "a/b~c" = '{"k": [1, 2]}' WHERE id = 1;
UPDATE items SET secret = 'hush again' WHERE id = 1;
UPDATE items SET title = title;
UPDATE items SET body = NULL, n = 'NaN' WHERE id = 1;
UPDATE items SET body = repeat('y', 3000), title = 'x' WHERE id = 2;
UPDATE items SET team = 'b' WHERE id = 2;
UPDATE items SET id = 20 WHERE id = 2;
DELETE FROM items;

INSERT INTO keyed VALUES (1, 'a', repeat('z', 3000));
UPDATE keyed SET title = 'b';
UPDATE keyed SET id = 2;
DELETE FROM keyed;
