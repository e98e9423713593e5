-- Invented patients: the same ones every time. `:patients` says how many (psql -v patients=3000).

CREATE TEMP TABLE word (kind text, at integer, word text);
INSERT INTO word
SELECT kind, row_number() OVER (PARTITION BY kind) - 1, word
FROM (
    SELECT 'first' AS kind, unnest(string_to_array('Ada Alan Amara Anika Ben Bruno Carla Chen Dana Diego Elena Emeka Farah Felix Grace Hana Hugo Imani Ines Ivan Jada Jonas Kofi Lea Liam Lina Mara Mateo Mina Nadia Noah Nora Omar Paula Priya Quinn Rafael Rosa Samir Sofia Tariq Thea Uma Viktor Wanda Xenia Yusuf Zoe', ' ')) AS word
    UNION ALL
    SELECT 'last', unnest(string_to_array('Abara Adler Almeida Andersen Baker Banerjee Becker Castillo Cho Clarke Costa Diaz Dubois Ekström Ferrari Fischer Garcia Gupta Haddad Hansen Ibrahim Ito Jensen Johnson Kaya Keller Kim Kowalski Larsen Lopez Martin Mbeki Moreau Nakamura Nguyen Novak OBrien Okafor Olsen Patel Petrov Quist Rahman Reyes Rossi Schmidt Silva Smith Tanaka Torres Vargas Weber Wong Yilmaz Young Zhang', ' '))
    UNION ALL
    SELECT 'street', unnest(string_to_array('Oak Maple Cedar Pine Elm Willow Birch Chestnut Spruce Walnut', ' '))
    UNION ALL
    SELECT 'department', unnest(string_to_array('Cardiology Oncology Emergency Maternity Orthopaedics Neurology Paediatrics', ' '))
    UNION ALL
    SELECT 'reason', unnest(ARRAY['chest pain', 'fracture of the wrist', 'migraine', 'routine check', 'shortness of breath', 'follow-up', 'fever', 'pregnancy, 32 weeks'])
    UNION ALL
    SELECT 'drug', unnest(string_to_array('Metformin Lisinopril Atorvastatin Amoxicillin Levothyroxine Omeprazole Sertraline Warfarin', ' '))
) AS words;

-- A number that looks like chance and is the same every time.
CREATE FUNCTION pg_temp.pick(what text, n integer, below bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT (('x' || substr(md5(what || '/' || n), 1, 12))::bit(48)::bigint) % below $$;

CREATE FUNCTION pg_temp.word(what text, n integer) RETURNS text
    LANGUAGE sql STABLE
    AS $$ SELECT word FROM pg_temp.word WHERE kind = what AND at = pg_temp.pick(what, n, (SELECT count(*) FROM pg_temp.word WHERE kind = what)) $$;

INSERT INTO patient
SELECT n,
       'MRN-' || lpad(pg_temp.pick('mrn', n, 1000000)::text, 6, '0') || '-' || n,
       first, last,
       date '1929-01-01' + pg_temp.pick('dob', n, 34000)::integer,
       lpad((100 + pg_temp.pick('a', n, 700))::text, 3, '0') || '-' || lpad((10 + pg_temp.pick('g', n, 89))::text, 2, '0') || '-' || lpad((1 + pg_temp.pick('s', n, 9999))::text, 4, '0'),
       CASE pg_temp.pick('sex', n, 2) WHEN 0 THEN 'f' ELSE 'm' END,
       '(' || (201 + pg_temp.pick('area', n, 700)) || ') 555-' || lpad(pg_temp.pick('phone', n, 10000)::text, 4, '0'),
       lower(first || '.' || last || n || '@example.org'),
       (1 + pg_temp.pick('house', n, 900)) || ' ' || pg_temp.word('street', n) || ' Street',
       place.city, place.state, place.zip,
       'MBR' || lpad(pg_temp.pick('member', n, 100000000)::text, 9, '0')
FROM generate_series(1, :patients) AS n
CROSS JOIN LATERAL (SELECT pg_temp.word('first', n) AS first, pg_temp.word('last', n) AS last) AS who
JOIN (VALUES (0, 'Springfield', 'IL', '62704'), (1, 'Columbus', 'OH', '43215'), (2, 'Salem', 'OR', '97301'),
             (3, 'Burlington', 'VT', '05401'), (4, 'Reno', 'NV', '89501'), (5, 'Taos', 'NM', '87821')) AS place (at, city, state, zip)
  ON place.at = pg_temp.pick('place', n, 6)
ORDER BY n;

INSERT INTO encounter
SELECT n, p.id,
       timestamptz '2024-01-01 08:00+00' + pg_temp.pick('admitted', n, 60000000) * interval '1 second',
       timestamptz '2024-01-01 08:00+00' + (pg_temp.pick('admitted', n, 60000000) + 3600 * (1 + pg_temp.pick('stay', n, 100))) * interval '1 second',
       pg_temp.word('department', n), pg_temp.word('reason', n),
       'Seen: ' || p.first_name || ' ' || p.last_name || ', born ' || p.dob || ', ' || p.mrn || '. Reports ' || pg_temp.word('reason', n) || '. Call ' || p.phone || ' with results.'
FROM generate_series(1, :patients * 2) AS n JOIN patient p ON p.id = 1 + pg_temp.pick('who', n, :patients);

INSERT INTO lab_result
SELECT n, 1 + pg_temp.pick('whose', n, :patients),
       timestamptz '2024-01-01 08:00+00' + pg_temp.pick('taken', n, 60000000) * interval '1 second',
       t.test, round((t.low + pg_temp.pick('value', n, 1000) * (t.high - t.low) / 1000.0)::numeric, 1), t.unit
FROM generate_series(1, :patients * 3) AS n
JOIN (VALUES (0, 'HbA1c', 4.0, 11.0, '%'), (1, 'Glucose', 60, 280, 'mg/dL'), (2, 'Potassium', 3.0, 6.0, 'mmol/L')) AS t (at, test, low, high, unit)
  ON t.at = pg_temp.pick('test', n, 3);

INSERT INTO prescription
SELECT n, 1 + pg_temp.pick('for', n, :patients), pg_temp.word('drug', n), (5 * (1 + pg_temp.pick('dose', n, 100))) || ' mg daily',
       date '2024-01-01' + pg_temp.pick('on', n, 600)::integer, date '2024-02-01' + pg_temp.pick('on', n, 600)::integer
FROM generate_series(1, :patients) AS n;

INSERT INTO staff
SELECT n, pg_temp.word('first', n * 31) || ' ' || pg_temp.word('last', n * 17),
       (ARRAY['nurse', 'physician', 'administrator', 'technician'])[1 + pg_temp.pick('role', n, 4)]
FROM generate_series(1, 40) AS n;

ANALYZE;
