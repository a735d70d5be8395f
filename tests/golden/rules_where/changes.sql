-- Predicates of each kind, with the full identity and with the default one, where the stream does not tell what was.
CREATE TABLE orders (id int PRIMARY KEY, total numeric, kind text, placed date, paid_at timestamptz, open boolean, big float8, token uuid, note varchar(20));
ALTER TABLE orders REPLICA IDENTITY FULL;
CREATE TABLE notes (id int, room text, status text, deleted_at timestamp, body text, PRIMARY KEY (id, room));
ALTER TABLE notes ALTER body SET STORAGE EXTERNAL;

INSERT INTO orders VALUES (1, 99.5, 'gift', '2024-02-29', '2024-01-31 12:00:00+02', true, 1e300, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'größe_1');
INSERT INTO orders VALUES (2, 99.49, 'sale', '2024-03-01', NULL, false, 0.1, NULL, NULL), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE orders SET total = 100 WHERE id = 2;
UPDATE orders SET open = true, note = 'x' WHERE id = 2;
UPDATE orders SET open = NULL WHERE id = 1;
UPDATE orders SET total = 99.50 WHERE id = 3;
UPDATE orders SET kind = 'gift', placed = '2024-12-31' WHERE id = 2;
UPDATE orders SET id = 20 WHERE id = 2;
DELETE FROM orders;

INSERT INTO notes VALUES (1, 'a', 'open', NULL, repeat('x', 5000)), (2, 'a', 'closed', NULL, 'y'), (3, 'b', 'open', '2023-12-31', 'z');
UPDATE notes SET status = 'open' WHERE id = 2;
UPDATE notes SET status = 'closed' WHERE id = 1;
UPDATE notes SET status = 'open' WHERE id = 1;
UPDATE notes SET id = 30 WHERE id = 3;
UPDATE notes SET deleted_at = '2024-01-01' WHERE id = 2;
UPDATE notes SET deleted_at = NULL WHERE id IN (2, 30);
BEGIN;
UPDATE notes SET room = 'b' WHERE id = 1;
DELETE FROM notes;
COMMIT;
