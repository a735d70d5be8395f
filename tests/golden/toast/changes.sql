-- Large values that an update leaves alone, under the default identity and the full one.
CREATE TABLE by_key (id int PRIMARY KEY, title text, body text);
ALTER TABLE by_key ALTER body SET STORAGE EXTERNAL;
CREATE TABLE by_full (id int PRIMARY KEY, title text, body text);
ALTER TABLE by_full ALTER body SET STORAGE EXTERNAL;
ALTER TABLE by_full REPLICA IDENTITY FULL;
CREATE TABLE large_key (key text PRIMARY KEY, title text);
ALTER TABLE large_key ALTER key SET STORAGE EXTERNAL;

INSERT INTO by_key VALUES (1, 'a', repeat('x', 2100));
UPDATE by_key SET title = 'b';
UPDATE by_key SET body = body;
UPDATE by_key SET body = repeat('y', 2100);
UPDATE by_key SET id = 2;
DELETE FROM by_key;

INSERT INTO by_full VALUES (1, 'a', repeat('x', 2100));
UPDATE by_full SET title = 'b';
UPDATE by_full SET id = 2, title = NULL;
UPDATE by_full SET body = NULL;
DELETE FROM by_full;

-- The key itself is stored out of line: each update carries it, though it does not change.
INSERT INTO large_key VALUES (repeat('k', 2100), 'a');
UPDATE large_key SET title = 'b';
DELETE FROM large_key;
