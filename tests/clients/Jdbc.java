// The JDBC driver of PostgreSQL. Started as a single source file; prints a JSON line a scenario.

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Jdbc {
    static final String SPACE = System.getenv("SPACE");
    static final String[] NAMES = {"Ann", "Bjørn", "Çelik", "李雷", "O'Hara", "qu\"ote", "back\\slash", "tab\there", "new\nline", "", "🏥"};
    static final int ROWS = 2000;

    interface Scenario {
        Object run(Connection db) throws Exception;
    }

    static Connection connect(String... more) throws SQLException {
        Properties words = new Properties();
        words.setProperty("user", System.getenv("USER"));
        words.setProperty("password", System.getenv("PASSWORD"));
        words.setProperty("sslmode", System.getenv("SSLMODE"));
        words.setProperty("connectTimeout", "20");
        words.setProperty("socketTimeout", "55");
        if (!System.getenv("SSLMODE").equals("disable")) words.setProperty("sslrootcert", System.getenv("CA"));
        for (int i = 0; i < more.length; i += 2) words.setProperty(more[i], more[i + 1]);
        String at = "jdbc:postgresql://" + System.getenv("HOST") + ":" + System.getenv("PORT") + "/" + System.getenv("DB");
        return DriverManager.getConnection(at, words);
    }

    static void expect(Object seen, Object wanted, String what) {
        if (!String.valueOf(seen).equals(String.valueOf(wanted))) throw new AssertionError(what + ": saw " + seen + ", wanted " + wanted);
    }

    static String nameOf(int number) {
        return NAMES[number % NAMES.length];
    }

    static String digest(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
    }

    static Object one(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getObject(1);
        }
    }

    static Object tableIsMade(Connection db) throws Exception {
        try (Statement statement = db.createStatement()) {
            statement.execute("DROP SCHEMA IF EXISTS " + SPACE + " CASCADE");
            statement.execute("CREATE SCHEMA " + SPACE + "; CREATE TABLE " + SPACE + ".t (id int PRIMARY KEY, name text, born date DEFAULT '2000-01-01')");
        }
        db.setAutoCommit(false);
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + SPACE + ".t (id, name) VALUES (?, ?)")) {
            for (int id = 0; id < ROWS; id++) {
                insert.setInt(1, id);
                insert.setString(2, nameOf(id));
                insert.addBatch();
            }
            int sum = 0;
            for (int count : insert.executeBatch()) sum += count;
            expect(sum, ROWS, "rows of the batch");
        }
        db.commit();
        return one(db, "SELECT count(*) FROM " + SPACE + ".t");
    }

    static Object batchRewritten(Connection unused) throws Exception {
        try (Connection db = connect("reWriteBatchedInserts", "true")) {
            try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + SPACE + ".t (id, name) VALUES (?, ?)")) {
                for (int id = ROWS; id < ROWS + 300; id++) {
                    insert.setInt(1, id);
                    insert.setString(2, nameOf(id));
                    insert.addBatch();
                }
                insert.executeBatch();
            }
            try (Statement statement = db.createStatement()) {
                return statement.executeUpdate("DELETE FROM " + SPACE + ".t WHERE id >= " + ROWS);
            }
        }
    }

    static Object everyRowAsWritten(Connection db) throws Exception {
        int count = 0;
        try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery("SELECT id, name FROM " + SPACE + ".t ORDER BY id")) {
            while (rows.next()) {
                expect(rows.getString(2), nameOf(rows.getInt(1)), "name");
                count++;
            }
        }
        expect(count, ROWS, "rows");
        return count;
    }

    /** The driver turns to a named statement at the fifth use, and to binary results with it. */
    static Object preparedAcrossItsThreshold(Connection db) throws Exception {
        List<String> seen = new ArrayList<>();
        String sql = "SELECT id, name, 1.5::numeric AS n, ?::text AS word, now() > '2020-01-01' AS later, born FROM " + SPACE + ".t WHERE id = ?";
        try (PreparedStatement select = db.prepareStatement(sql)) {
            for (int id = 0; id < 20; id++) {
                select.setString(1, "word " + id);
                select.setInt(2, id);
                try (ResultSet rows = select.executeQuery()) {
                    rows.next();
                    expect(rows.getString(2), nameOf(id), "name");
                    seen.add(rows.getInt(1) + rows.getString(4) + rows.getBigDecimal(3) + rows.getBoolean(5) + rows.getDate(6));
                }
            }
        }
        expect(one(db, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%born FROM%' AND NOT from_sql"), 1, "named statements");
        return seen;
    }

    static Object valuesComeBack(Connection db) throws Exception {
        List<Object> seen = new ArrayList<>();
        try (PreparedStatement select = db.prepareStatement("SELECT ?::int2, ?::int8, ?::numeric, ?::float8, ?::bool, ?::text, ?::bytea, ?::date, ?::timestamptz, ?::uuid, ?::int[], ?::int, ?::jsonb::text")) {
            for (int round = 0; round < 8; round++) {
                seen.clear();
                byte[] bytes = new byte[256];
                for (int i = 0; i < 256; i++) bytes[i] = (byte) i;
                select.setShort(1, (short) 7);
                select.setLong(2, 1L << 62);
                select.setBigDecimal(3, new BigDecimal("-12345.6789"));
                select.setDouble(4, 0.1);
                select.setBoolean(5, true);
                select.setString(6, "ü 李 🏥");
                select.setBytes(7, bytes);
                select.setObject(8, LocalDate.of(2024, 2, 29));
                select.setObject(9, OffsetDateTime.parse("2026-01-02T03:04:05Z"));
                select.setObject(10, UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
                select.setArray(11, db.createArrayOf("int4", new Integer[] {1, null, 3}));
                select.setNull(12, Types.INTEGER);
                select.setString(13, "{\"a\": 1}");
                try (ResultSet rows = select.executeQuery()) {
                    rows.next();
                    expect(HexFormat.of().formatHex(rows.getBytes(7)), HexFormat.of().formatHex(bytes), "bytes");
                    for (int column : new int[] {1, 2, 3, 4, 5, 6, 8, 10, 12, 13}) seen.add(rows.getObject(column));
                    seen.add(rows.getObject(9, OffsetDateTime.class).toInstant());
                    seen.add(rows.getArray(11).toString());
                }
            }
        }
        expect(seen.get(5), "ü 李 🏥", "text");
        return seen;
    }

    static Object fetchSizePages(Connection db) throws Exception {
        db.setAutoCommit(false);
        long sum = 0;
        try (Statement statement = db.createStatement()) {
            statement.setFetchSize(100);
            try (ResultSet rows = statement.executeQuery("SELECT id FROM " + SPACE + ".t ORDER BY id")) {
                while (rows.next()) sum += rows.getInt(1);
            }
            // A portal that is left half read is closed with its statement.
            try (ResultSet rows = statement.executeQuery("SELECT i FROM generate_series(1, 100000) i")) {
                rows.next();
            }
        }
        db.commit();
        expect(sum, (long) ROWS * (ROWS - 1) / 2, "sum");
        return sum;
    }

    static Object maxRows(Connection db) throws Exception {
        try (Statement statement = db.createStatement()) {
            statement.setMaxRows(7);
            int count = 0;
            try (ResultSet rows = statement.executeQuery("SELECT id FROM " + SPACE + ".t")) {
                while (rows.next()) count++;
            }
            expect(count, 7, "rows");
            return count;
        }
    }

    static Object copyBothWays(Connection db) throws Exception {
        CopyManager copy = db.unwrap(PGConnection.class).getCopyAPI();
        try (Statement statement = db.createStatement()) {
            statement.execute("CREATE TABLE " + SPACE + ".c (a int, b text)");
        }
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 5000; i++) text.append(i).append("\tname ").append(i).append('\n');
        expect(copy.copyIn("COPY " + SPACE + ".c FROM STDIN", new StringReader(text.toString())), 5000, "rows in");
        StringWriter out = new StringWriter();
        copy.copyOut("COPY (SELECT * FROM " + SPACE + ".c ORDER BY a) TO STDOUT", out);
        expect(out.toString().equals(text.toString()), true, "text out");
        ByteArrayOutputStream binary = new ByteArrayOutputStream();
        copy.copyOut("COPY (SELECT * FROM " + SPACE + ".c ORDER BY a) TO STDOUT (FORMAT BINARY)", binary);
        return digest(binary.toByteArray());
    }

    static Object metadata(Connection db) throws Exception {
        DatabaseMetaData about = db.getMetaData();
        expect(about.getDatabaseMajorVersion(), System.getenv("MAJOR"), "major version");
        List<Object> seen = new ArrayList<>();
        try (ResultSet rows = about.getTables(null, SPACE, "%", new String[] {"TABLE"})) {
            while (rows.next()) seen.add(rows.getString("TABLE_NAME"));
        }
        try (ResultSet rows = about.getColumns(null, SPACE, "t", "%")) {
            while (rows.next()) seen.add(rows.getString("COLUMN_NAME") + ":" + rows.getString("TYPE_NAME") + ":" + rows.getString("IS_NULLABLE"));
        }
        try (ResultSet rows = about.getPrimaryKeys(null, SPACE, "t")) {
            while (rows.next()) seen.add(rows.getString("COLUMN_NAME"));
        }
        try (Statement statement = db.createStatement(); ResultSet rows = statement.executeQuery("SELECT id AS alias, name, 1 AS made FROM " + SPACE + ".t LIMIT 1")) {
            ResultSetMetaData columns = rows.getMetaData();
            for (int i = 1; i <= 3; i++) seen.add(columns.getColumnLabel(i) + "/" + columns.getColumnTypeName(i) + "/" + columns.getTableName(i) + "/" + columns.isAutoIncrement(i));
        }
        expect(seen.containsAll(List.of("t", "id", "id:int4:NO", "name:text:YES")), true, "what the metadata tells: " + seen);
        return seen;
    }

    static Object cancelling(Connection db) throws Exception {
        try (Statement statement = db.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(700);
                    statement.cancel();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            canceller.start();
            String state = "none";
            try {
                statement.execute("SELECT pg_sleep(30)");
            } catch (SQLException error) {
                state = error.getSQLState();
            }
            canceller.join();
            expect(state, "57014", "state");
            expect(one(db, "SELECT 'on'"), "on", "the session");
            return state;
        }
    }

    static Object queryTimeout(Connection db) throws Exception {
        try (Statement statement = db.createStatement()) {
            statement.setQueryTimeout(1);
            try {
                statement.execute("SELECT pg_sleep(30)");
            } catch (SQLException error) {
                expect(one(db, "SELECT 'on'"), "on", "the session");
                return error.getSQLState();
            }
            throw new AssertionError("not cancelled");
        }
    }

    static Object errorsAndGoingOn(Connection db) throws Exception {
        List<String> states = new ArrayList<>();
        for (String sql : new String[] {"SELECT * FROM " + SPACE + ".missing", "SELECT 1/0", "SELEC 1", "INSERT INTO " + SPACE + ".t VALUES (1, 'x')"}) {
            try (Statement statement = db.createStatement()) {
                statement.execute(sql);
                states.add("none");
            } catch (SQLException error) {
                states.add(error.getSQLState());
            }
        }
        expect(states, "[42P01, 22012, 42601, 23505]", "states");
        expect(one(db, "SELECT 'on'"), "on", "the session");
        return states;
    }

    static Object errorInABatch(Connection db) throws Exception {
        db.setAutoCommit(false);
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + SPACE + ".t (id, name) VALUES (?, 'x')")) {
            for (int id : new int[] {-1, -2, 1, -3}) {
                insert.setInt(1, id);
                insert.addBatch();
            }
            insert.executeBatch();
            throw new AssertionError("no error");
        } catch (BatchUpdateException error) {
            expect(error.getNextException().getSQLState(), "23505", "state");
        }
        db.rollback();
        db.setAutoCommit(true);
        Object left = one(db, "SELECT count(*) FROM " + SPACE + ".t WHERE id < 0");
        expect(left, 0, "rows left");
        return left;
    }

    static Object savepoints(Connection db) throws Exception {
        db.setAutoCommit(false);
        try (Statement statement = db.createStatement()) {
            statement.execute("INSERT INTO " + SPACE + ".t VALUES (-1, 'kept')");
            Savepoint here = db.setSavepoint("here");
            statement.execute("INSERT INTO " + SPACE + ".t VALUES (-2, 'undone')");
            db.rollback(here);
            db.commit();
            int rows = statement.executeUpdate("DELETE FROM " + SPACE + ".t WHERE id < 0");
            db.commit();
            expect(rows, 1, "rows");
            return rows;
        }
    }

    static Object severalResults(Connection db) throws Exception {
        List<Object> seen = new ArrayList<>();
        try (Statement statement = db.createStatement()) {
            boolean rows = statement.execute("SELECT 1; UPDATE " + SPACE + ".t SET name = name WHERE id < 3; SELECT 2");
            while (rows || statement.getUpdateCount() != -1) {
                if (rows) {
                    try (ResultSet set = statement.getResultSet()) {
                        set.next();
                        seen.add(set.getInt(1));
                    }
                } else {
                    seen.add("updated " + statement.getUpdateCount());
                }
                rows = statement.getMoreResults();
            }
        }
        expect(seen, "[1, updated 3, 2]", "results");
        return seen;
    }

    static Object generatedKeys(Connection db) throws Exception {
        try (PreparedStatement insert = db.prepareStatement("INSERT INTO " + SPACE + ".t (id, name) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            insert.setInt(1, -9);
            insert.setString(2, "x");
            insert.executeUpdate();
            try (ResultSet keys = insert.getGeneratedKeys(); Statement tidy = db.createStatement()) {
                keys.next();
                int id = keys.getInt("id");
                tidy.execute("DELETE FROM " + SPACE + ".t WHERE id = -9");
                expect(id, -9, "key");
                return id;
            }
        }
    }

    static Object simpleProtocolOnly(Connection unused) throws Exception {
        try (Connection db = connect("preferQueryMode", "simple"); PreparedStatement select = db.prepareStatement("SELECT ?::int + 1, ?")) {
            select.setInt(1, 41);
            select.setString(2, "it's");
            try (ResultSet rows = select.executeQuery()) {
                rows.next();
                return List.of(rows.getInt(1), rows.getString(2));
            }
        }
    }

    static Object schemaIsDropped(Connection db) throws Exception {
        try (Statement statement = db.createStatement()) {
            statement.execute("DROP SCHEMA " + SPACE + " CASCADE");
        }
        return true;
    }

    static String json(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < 32 || c > 126) out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }

    public static void main(String[] none) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        java.util.TimeZone.setDefault(java.util.TimeZone.getTimeZone("UTC"));
        Map<String, Scenario> scenarios = new LinkedHashMap<>();
        scenarios.put("a_table_is_made_by_a_batch", Jdbc::tableIsMade);
        scenarios.put("a_batch_rewritten_by_the_driver", Jdbc::batchRewritten);
        scenarios.put("every_row_is_as_written", Jdbc::everyRowAsWritten);
        scenarios.put("a_statement_prepared_across_its_threshold", Jdbc::preparedAcrossItsThreshold);
        scenarios.put("values_come_back_as_they_went", Jdbc::valuesComeBack);
        scenarios.put("a_fetch_size_pages_by_portal", Jdbc::fetchSizePages);
        scenarios.put("a_row_limit", Jdbc::maxRows);
        scenarios.put("copy_both_ways", Jdbc::copyBothWays);
        scenarios.put("metadata", Jdbc::metadata);
        scenarios.put("cancelling", Jdbc::cancelling);
        scenarios.put("a_query_timeout", Jdbc::queryTimeout);
        scenarios.put("errors_and_going_on", Jdbc::errorsAndGoingOn);
        scenarios.put("an_error_in_a_batch", Jdbc::errorInABatch);
        scenarios.put("savepoints", Jdbc::savepoints);
        scenarios.put("several_results", Jdbc::severalResults);
        scenarios.put("generated_keys", Jdbc::generatedKeys);
        scenarios.put("the_simple_protocol_alone", Jdbc::simpleProtocolOnly);
        scenarios.put("the_schema_is_dropped", Jdbc::schemaIsDropped);
        for (Map.Entry<String, Scenario> scenario : scenarios.entrySet()) {
            String name = json(scenario.getKey());
            try (Connection db = connect()) {
                Object value = scenario.getValue().run(db);
                out.println("{\"name\": " + name + ", \"ok\": true, \"value\": " + json(String.valueOf(value)) + "}");
            } catch (Throwable error) {
                out.println("{\"name\": " + name + ", \"ok\": false, \"error\": " + json(error + " at " + (error.getStackTrace().length > 0 ? error.getStackTrace()[0] : "")) + "}");
            }
        }
        out.println("{\"done\": " + scenarios.size() + "}");
        System.exit(0);
    }
}
