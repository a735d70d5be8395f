-- Each type, at its edges.
CREATE TYPE mood AS ENUM ('sad', 'happy "quoted"');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE everything (
    id bigint PRIMARY KEY, flag bool, small smallint, big bigint, number oid, price numeric, narrow real, wide float8,
    name text, code varchar(10), padded char(5), key uuid, day date, clock time, zoned timetz, at timestamp,
    at_zone timestamptz, span interval, bytes bytea, plain json, binary_json jsonb, list int[], words text[], feeling mood,
    share percent, address inet, pair point);

INSERT INTO everything VALUES (
    1, true, -32768, 9007199254740991, 4294967295, 123456789012345, 1.5, 0.1,
    'milk', 'abc', 'ab', '3f2504e0-4f89-41d3-9a0c-0305e82c3301', '2024-02-29', '23:59:59.5', '12:00:00+02',
    '2024-01-02 03:04:05.12', '2024-01-02 03:04:05.123456+02', '1 year 2 days 03:04:05', '\x00ff', '{"a": [1, null,  "x"]}',
    '{"b": 1.50, "a": "\u00e9"}', '{1,NULL,3}', '{"a,b","c\"d"}', 'happy "quoted"', 50, '10.0.0.0/8', '(1.5,-2)');

INSERT INTO everything VALUES (
    2, false, 32767, 9007199254740992, 0, 1234567890123456, 'NaN', 'Infinity',
    E'tab\t line\n quote" back\\slash bell\x07 é漢😀', '', '', NULL, '0044-03-15 BC', '00:00', '00:00+00',
    'infinity', '-infinity', '-00:00:01', '', '"text"', 'null', '{}', '{}', 'sad', 0, '::1', '(0,0)');

INSERT INTO everything VALUES (
    3, NULL, 0, -9007199254740992, 1, 'NaN', '-0', 1e20,
    repeat('12345678"', 3), NULL, NULL, NULL, 'infinity', '24:00:00', NULL,
    '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC', NULL, NULL, '12345678901234567890', '1e3', NULL, NULL, NULL,
    NULL, NULL, NULL);

INSERT INTO everything (id, price, wide) VALUES (4, 0.000000000000000000123456789012345, 1e-7), (5, -0.10, -1.7976931348623157e308),
    (6, 0, 5e-324);

INSERT INTO everything (id) VALUES (-9223372036854775808);
