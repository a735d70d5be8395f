-- Names of channels: documents, arrays, escapes, what does not exist and what is too much.
CREATE TABLE docs (id int PRIMARY KEY, meta jsonb, raw json, tags text[], numbers int[], team text, "odd.name" jsonb);
ALTER TABLE docs REPLICA IDENTITY FULL;

INSERT INTO docs VALUES (1, '{"team": {"id": 7}, "a.b": "x:y"}', '{"k": 1.50, "k": "last"}', '{b,a,NULL,b}', '{1,2}', 'é😀', '{"k": ["p", 2.0, true, null, [1], {"k": 1}]}');
INSERT INTO docs VALUES (2, '{"team": {"id": null}, "a.b": ["q", "*?[", "%3A"]}', '{"k": "q\u0041\"\\"}', '{}', NULL, '', '[]');
INSERT INTO docs VALUES (3, '"team"', 'null', '[0:1][1:1]={{"x y"},{"NULL"}}', '{}', 'control', NULL), (4, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE docs SET meta = '{"team": {"id": "7"}}', tags = '{a,c}' WHERE id = 1;
UPDATE docs SET tags = NULL, team = repeat('x', 1100) WHERE id = 1;
UPDATE docs SET team = repeat('y', 1100) || chr(10) WHERE id = 2;
UPDATE docs SET numbers = (SELECT array_agg(i) FROM generate_series(1, 1025) i) WHERE id = 3;
UPDATE docs SET numbers = '{3}', tags = '{a}' WHERE id = 3;
DELETE FROM docs;
