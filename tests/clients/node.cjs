// node-postgres with its companions: pg-cursor, pg-query-stream, pg-copy-streams.
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const { pipeline } = require('node:stream/promises')
const { Readable, Writable } = require('node:stream')
const assert = require('node:assert/strict')
const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')
const QueryStream = require('pg-query-stream')
const copy = require('pg-copy-streams')

const { HOST, PORT, DB, USER, PASSWORD, SSLMODE, CA, SPACE, MAJOR } = process.env
const NAMES = ['Ann', 'Bjørn', 'Çelik', '李雷', "O'Hara", 'qu"ote', 'back\\slash', 'tab\there', 'new\nline', '', '🏥']
const nameOf = (number) => NAMES[number % NAMES.length]
const digest = (data) => crypto.createHash('sha256').update(data).digest('hex')
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

function where () {
  const tls = SSLMODE === 'disable' ? false : { ca: fs.readFileSync(CA, 'utf8'), servername: HOST }
  return { host: HOST, port: Number(PORT), database: DB, user: USER, password: PASSWORD, ssl: tls, connectionTimeoutMillis: 20000 }
}

async function connected (work) {
  const db = new Client(where())
  await db.connect()
  try {
    return await work(db)
  } finally {
    await db.end()
  }
}

const scenarios = {
  async a_table_is_made (db) {
    await db.query(`DROP SCHEMA IF EXISTS ${SPACE} CASCADE; CREATE SCHEMA ${SPACE}; CREATE TABLE ${SPACE}.t (id int PRIMARY KEY, name text)`)
    for (let id = 0; id < 200; id++) await db.query(`INSERT INTO ${SPACE}.t VALUES ($1, $2)`, [id, nameOf(id)])
    const version = (await db.query('SHOW server_version_num')).rows[0].server_version_num
    assert.equal(version.slice(0, -4), MAJOR)
    return (await db.query(`SELECT count(*) FROM ${SPACE}.t`)).rows
  },

  async every_row_is_as_written (db) {
    const { rows, fields } = await db.query(`SELECT id, name FROM ${SPACE}.t ORDER BY id`)
    assert.deepEqual(rows.map((row) => row.name), rows.map((row) => nameOf(row.id)))
    return [rows.length, fields.map((field) => [field.name, field.dataTypeID, field.format])]
  },

  async values_come_back_as_they_went (db) {
    const { rows } = await db.query({
      text: 'SELECT $1::int, $2::text, $3::bytea, $4::jsonb, $5::int[], $6::timestamptz, $7::bool, $8::numeric, NULL AS n',
      values: [5, 'ü 李 🏥', Buffer.from([0, 255]), { a: [1, null] }, [1, null], '2026-01-02T03:04:05Z', true, '1.50'],
      rowMode: 'array'
    })
    assert.equal(rows[0][1], 'ü 李 🏥')
    assert.deepEqual(rows[0][2], Buffer.from([0, 255]))
    return rows
  },

  async results_in_binary (db) {
    const { rows } = await db.query({ text: 'SELECT $1::int4 AS a, $2::text AS b, true AS c', values: [70000, 'word'], binary: true })
    assert.deepEqual(rows, [{ a: 70000, b: 'word', c: true }])
    return rows
  },

  async a_named_statement_is_reused (db) {
    const seen = []
    for (let id = 0; id < 30; id++) seen.push((await db.query({ name: 'by id', text: `SELECT name FROM ${SPACE}.t WHERE id = $1`, values: [id] })).rows[0].name)
    assert.deepEqual(seen, seen.map((_, id) => nameOf(id)))
    return (await db.query("SELECT count(*)::int FROM pg_prepared_statements WHERE name = 'by id'")).rows
  },

  async queries_sent_without_waiting (db) {
    const all = await Promise.all(Array.from({ length: 100 }, (_, n) => db.query('SELECT $1::int * 2 AS n', [n])))
    assert.deepEqual(all.map((one) => one.rows[0].n), Array.from({ length: 100 }, (_, n) => n * 2))
    return all.length
  },

  async several_statements_in_one_message (db) {
    const all = await db.query('SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c')
    assert.deepEqual(all.map((one) => one.rows), [[{ a: 1 }], [{ b: 2 }], [{ c: 3 }]])
    return all.map((one) => one.command)
  },

  async errors_and_going_on (db) {
    const codes = []
    for (const [text, values] of [['SELECT 1/0'], ['SELECT $1::int', ['x']], [`SELECT * FROM ${SPACE}.missing`], ['SELEC 1'], [`INSERT INTO ${SPACE}.t VALUES ($1, $2)`, [1, 'x']]]) {
      await db.query(text, values).then(() => codes.push('none'), (error) => codes.push(error.code))
    }
    assert.deepEqual((await db.query("SELECT 'on' AS w")).rows, [{ w: 'on' }])
    assert.deepEqual(codes, ['22012', '22P02', '42P01', '42601', '23505'])
    return codes
  },

  async transactions (db) {
    await db.query('BEGIN')
    await db.query(`DELETE FROM ${SPACE}.t`)
    await db.query('ROLLBACK')
    await db.query('BEGIN')
    await db.query(`INSERT INTO ${SPACE}.t VALUES (-1, 'kept')`)
    await db.query('COMMIT')
    const { rows } = await db.query(`SELECT count(*)::int AS n, min(id) AS least FROM ${SPACE}.t`)
    assert.deepEqual(rows, [{ n: 201, least: -1 }])
    return rows
  },

  async a_cursor_pages (db) {
    const cursor = db.query(new Cursor('SELECT i FROM generate_series(1, 1000) i WHERE i > $1', [10]))
    const sizes = []
    for (;;) {
      const rows = await cursor.read(300)
      if (rows.length === 0) break
      sizes.push([rows.length, rows[0].i])
    }
    await cursor.close()
    assert.deepEqual(sizes, [[300, 11], [300, 311], [300, 611], [90, 911]])
    return sizes
  },

  async a_cursor_closed_early (db) {
    const cursor = db.query(new Cursor('SELECT i FROM generate_series(1, 100000) i'))
    assert.equal((await cursor.read(10)).length, 10)
    await cursor.close()
    return (await db.query("SELECT 'on' AS w")).rows
  },

  async a_stream_of_rows (db) {
    let sum = 0
    for await (const row of db.query(new QueryStream('SELECT i FROM generate_series(1, 20000) i', [], { batchSize: 500 }))) sum += row.i
    assert.equal(sum, 200010000)
    return sum
  },

  async copy_both_ways (db) {
    await db.query(`CREATE TABLE ${SPACE}.c (a int, b text)`)
    const text = Array.from({ length: 5000 }, (_, n) => `${n}\tname ${n}\n`)
    await pipeline(Readable.from(text), db.query(copy.from(`COPY ${SPACE}.c FROM STDIN`)))
    const parts = []
    const sink = new Writable({ write (part, _, next) { parts.push(part); next() } })
    await pipeline(db.query(copy.to(`COPY (SELECT * FROM ${SPACE}.c ORDER BY a) TO STDOUT`)), sink)
    assert.equal(Buffer.concat(parts).toString(), text.join(''))
    return digest(Buffer.concat(parts))
  },

  async notifications_arrive (db) {
    const got = new Promise((resolve) => db.on('notification', resolve))
    await db.query(`LISTEN ${SPACE}`)
    await connected((other) => other.query(`NOTIFY ${SPACE}, 'hello'`))
    return (await got).payload
  },

  async notices_arrive (db) {
    const got = new Promise((resolve) => db.on('notice', resolve))
    await db.query(`DROP TABLE IF EXISTS ${SPACE}.none_such`)
    const notice = await got
    return [notice.code, notice.message]
  },

  async cancelling (db) {
    const running = db.query('SELECT pg_sleep(30)').then(() => 'none', (error) => error.code)
    await wait(700)
    // A cancel request as node-postgres sends it: a connection of its own with the key it was given.
    const canceller = new Client(where())
    canceller.cancel(db, db._activeQuery ?? db.activeQuery)
    const code = await Promise.race([running, wait(15000).then(() => 'not cancelled')])
    assert.equal(code, '57014')
    await wait(200)
    return code
  },

  async a_pool () {
    const pool = new Pool({ ...where(), max: 5 })
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => pool.query('SELECT $1::int AS n', [n])))
    await pool.end()
    return all.reduce((sum, one) => sum + one.rows[0].n, 0)
  },

  async a_large_value_both_ways (db) {
    const word = 'ü'.repeat(2000000)
    const { rows } = await db.query('SELECT $1::text AS word, md5($1) AS sum', [word])
    assert.ok(rows[0].word === word)
    return rows[0].sum
  },

  async the_schema_is_dropped (db) {
    return (await db.query(`DROP SCHEMA ${SPACE} CASCADE`)).command
  }
}

async function main () {
  const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n')
  const late = (ms) => new Promise((_resolve, reject) => setTimeout(() => reject(new Error(`took longer than ${ms} ms`)), ms).unref())
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      tell({ name, ok: true, value: (await Promise.race([connected(scenario), late(60000)])) ?? null })
    } catch (error) {
      tell({ name, ok: false, error: String(error && error.stack) })
    }
  }
  tell({ done: Object.keys(scenarios).length })
}

main().then(() => process.exit(0))
