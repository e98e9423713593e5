/* libpq itself: pipeline mode with an error inside, rows one at a time, binary parameters and results, COPY, cancel,
 * asynchronous use and notifications. Prints a JSON line a scenario, as the other conversations do. */
#include <libpq-fe.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <pthread.h>

static char value[65536]; /* what a scenario saw, as JSON text */
static char wrong[65536]; /* why it failed, or empty */
static const char *space; /* our schema and channel */

static void saw(const char *format, ...)
{
	size_t used = strlen(value);
	va_list words;
	va_start(words, format);
	vsnprintf(value + used, sizeof value - used, format, words);
	va_end(words);
}

static bool fail(const char *format, ...)
{
	va_list words;
	va_start(words, format);
	vsnprintf(wrong, sizeof wrong, format, words);
	va_end(words);
	return false;
}

#define CHECK(truth) do { if (!(truth)) { fail("line %d: %s; the connection says: %s", __LINE__, #truth, PQerrorMessage(db)); goto out; } } while (0)

static void json_text(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 32)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static PGconn *connected(void)
{
	const char *names[] = {"host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "connect_timeout", NULL};
	const char *mode = getenv("SSLMODE");
	const char *values[] = {getenv("HOST"), getenv("PORT"), getenv("DB"), getenv("USER"), getenv("PASSWORD"), mode,
		strcmp(mode, "disable") ? getenv("CA") : "", "20", NULL};
	PGconn *db = PQconnectdbParams(names, values, 0);
	if (PQstatus(db) != CONNECTION_OK) {
		fail("cannot connect: %s", PQerrorMessage(db));
		PQfinish(db);
		return NULL;
	}
	return db;
}

/* Runs a statement; true when it ended well. */
static bool did(PGconn *db, const char *sql)
{
	PGresult *result = PQexec(db, sql);
	ExecStatusType status = PQresultStatus(result);
	PQclear(result);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static bool says(PGresult *result, const char *word)
{
	return PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) >= 1 && strcmp(PQgetvalue(result, 0, 0), word) == 0;
}

static bool sqlstate(const PGresult *result, const char *code)
{
	const char *seen = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	return seen && strcmp(seen, code) == 0;
}

static void still_on(PGconn *db)
{
	PGresult *result = PQexec(db, "SELECT 'on'");
	if (!says(result, "on") && !*wrong)
		fail("the session does not go on: %s", PQerrorMessage(db));
	PQclear(result);
}

static void a_table_is_made(PGconn *db)
{
	char sql[1000];
	snprintf(sql, sizeof sql,
		"DROP SCHEMA IF EXISTS %1$s CASCADE; CREATE SCHEMA %1$s; CREATE TABLE %1$s.t (id int PRIMARY KEY, name text);"
		"INSERT INTO %1$s.t SELECT i, 'name ' || i FROM generate_series(1, 1000) i", space);
	CHECK(did(db, sql));
	saw("true");
out:;
}

static void binary_parameters_and_results(PGconn *db)
{
	PGresult *result = NULL;
	uint32_t number = htonl(0xfffffff9u); /* -7 */
	char bytes[256];
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	const char *parameters[] = {(const char *)&number, bytes, "ü", NULL};
	const int lengths[] = {4, 256, 0, 0}, formats[] = {1, 1, 0, 0};
	const Oid types[] = {23, 17, 25, 23};
	result = PQexecParams(db, "SELECT $1 * 2, $2, $3, $4", 4, types, parameters, lengths, formats, 1);
	CHECK(PQresultStatus(result) == PGRES_TUPLES_OK);
	CHECK(PQfformat(result, 0) == 1 && PQgetlength(result, 0, 0) == 4);
	uint32_t twice;
	memcpy(&twice, PQgetvalue(result, 0, 0), 4);
	CHECK((int32_t)ntohl(twice) == -14);
	CHECK(PQgetlength(result, 0, 1) == 256 && memcmp(PQgetvalue(result, 0, 1), bytes, 256) == 0);
	CHECK(strcmp(PQgetvalue(result, 0, 2), "ü") == 0);
	CHECK(PQgetisnull(result, 0, 3) && PQgetlength(result, 0, 3) == 0);
	saw("[-14, 256]");
out:
	PQclear(result);
}

static void a_prepared_statement_is_described(PGconn *db)
{
	char sql[200];
	PGresult *result = NULL;
	snprintf(sql, sizeof sql, "SELECT id, name FROM %s.t WHERE id = $1 AND name <> $2", space);
	result = PQprepare(db, "by id", sql, 0, NULL);
	CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
	PQclear(result);
	result = PQdescribePrepared(db, "by id");
	CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
	CHECK(PQnparams(result) == 2 && PQparamtype(result, 0) == 23 && PQparamtype(result, 1) == 25);
	CHECK(PQnfields(result) == 2 && strcmp(PQfname(result, 1), "name") == 0 && PQftablecol(result, 1) == 2);
	for (int i = 1; i <= 50; i++) {
		char word[20], wanted[30];
		snprintf(word, sizeof word, "%d", i);
		snprintf(wanted, sizeof wanted, "name %d", i);
		const char *parameters[] = {word, "x"};
		PQclear(result);
		result = PQexecPrepared(db, "by id", 2, parameters, NULL, NULL, 0);
		CHECK(PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 1), wanted) == 0);
	}
	saw("50");
out:
	PQclear(result);
}

static void rows_one_at_a_time(PGconn *db)
{
	PGresult *result = NULL;
	long sum = 0;
	int rows = 0;
	CHECK(PQsendQuery(db, "SELECT i, repeat('x', 100) FROM generate_series(1, 50000) i"));
	CHECK(PQsetSingleRowMode(db));
	while ((result = PQgetResult(db)) != NULL) {
		if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
			sum += atol(PQgetvalue(result, 0, 0));
			rows++;
		} else
			CHECK(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 0);
		PQclear(result);
	}
	CHECK(rows == 50000 && sum == 1250025000L);
	saw("%d", rows);
out:
	PQclear(result);
}

static void a_pipeline_with_an_error_inside(PGconn *db)
{
	char insert[200], count[200];
	PGresult *result = NULL;
	const char *one[] = {"1"}, *zero[] = {"0"};
	snprintf(insert, sizeof insert, "INSERT INTO %s.t VALUES (-1, 'in an aborted pipeline')", space);
	snprintf(count, sizeof count, "SELECT count(*) FROM %s.t WHERE id < 0", space);
	CHECK(PQenterPipelineMode(db));
	CHECK(PQsendQueryParams(db, "SELECT $1::int", 1, NULL, one, NULL, NULL, 0));
	CHECK(PQsendQueryParams(db, insert, 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQsendQueryParams(db, "SELECT 1 / $1::int", 1, NULL, zero, NULL, NULL, 0));
	CHECK(PQsendQueryParams(db, "SELECT 'never'", 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQpipelineSync(db));
	CHECK(PQsendQueryParams(db, count, 0, NULL, NULL, NULL, NULL, 0));
	CHECK(PQpipelineSync(db));
	const ExecStatusType wanted[] = {PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_FATAL_ERROR, PGRES_PIPELINE_ABORTED,
		PGRES_PIPELINE_SYNC, PGRES_TUPLES_OK, PGRES_PIPELINE_SYNC};
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		result = PQgetResult(db);
		if (PQresultStatus(result) != wanted[i]) {
			fail("result %zu is %s, not %s", i, PQresStatus(PQresultStatus(result)), PQresStatus(wanted[i]));
			goto out;
		}
		if (i == 2)
			CHECK(sqlstate(result, "22012"));
		if (i == 5)
			CHECK(says(result, "0"));
		saw("%s\"%s\"", i ? ", " : "[", PQresStatus(PQresultStatus(result)));
		PQclear(result);
		result = NULL;
		if (wanted[i] != PGRES_PIPELINE_SYNC)
			CHECK(PQgetResult(db) == NULL);
	}
	saw("]");
	CHECK(PQexitPipelineMode(db));
out:
	PQclear(result);
}

static void a_deep_pipeline(PGconn *db)
{
	PGresult *result = NULL;
	long sum = 0;
	CHECK(PQsetnonblocking(db, 1) == 0 && PQenterPipelineMode(db));
	for (int i = 0; i < 2000; i++) {
		char word[20];
		snprintf(word, sizeof word, "%d", i);
		const char *parameters[] = {word};
		CHECK(PQsendQueryParams(db, "SELECT $1::int", 1, NULL, parameters, NULL, NULL, 0));
		if (i % 500 == 499)
			CHECK(PQpipelineSync(db));
	}
	for (int flushed = 1; flushed;) {
		struct pollfd wire = {PQsocket(db), POLLIN | POLLOUT, 0};
		CHECK((flushed = PQflush(db)) >= 0);
		CHECK(poll(&wire, 1, 10000) > 0);
		if (wire.revents & POLLIN)
			CHECK(PQconsumeInput(db));
	}
	CHECK(PQsetnonblocking(db, 0) == 0);
	for (int answers = 0, syncs = 0; syncs < 4;) {
		result = PQgetResult(db);
		if (result == NULL)
			continue;
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
			syncs++;
		else {
			CHECK(PQresultStatus(result) == PGRES_TUPLES_OK && atoi(PQgetvalue(result, 0, 0)) == answers);
			sum += answers++;
		}
		PQclear(result);
		result = NULL;
	}
	CHECK(PQexitPipelineMode(db) && sum == 1999000);
	saw("%ld", sum);
out:
	PQclear(result);
}

static void copy_both_ways(PGconn *db)
{
	char sql[200], *row = NULL;
	PGresult *result = NULL;
	size_t bytes = 0;
	snprintf(sql, sizeof sql, "CREATE TABLE %s.c (a int, b text)", space);
	CHECK(did(db, sql));
	snprintf(sql, sizeof sql, "COPY %s.c FROM STDIN", space);
	result = PQexec(db, sql);
	CHECK(PQresultStatus(result) == PGRES_COPY_IN && PQnfields(result) == 2);
	for (int i = 0; i < 20000; i++) {
		char line[60];
		int length = snprintf(line, sizeof line, "%d\tname %d\n", i, i);
		CHECK(PQputCopyData(db, line, length) == 1);
	}
	CHECK(PQputCopyEnd(db, NULL) == 1);
	PQclear(result);
	result = PQgetResult(db);
	CHECK(PQresultStatus(result) == PGRES_COMMAND_OK && strcmp(PQcmdTuples(result), "20000") == 0);
	PQclear(result);
	result = PQgetResult(db);
	CHECK(result == NULL);
	snprintf(sql, sizeof sql, "COPY %s.c TO STDOUT", space);
	result = PQexec(db, sql);
	CHECK(PQresultStatus(result) == PGRES_COPY_OUT);
	for (int length; (length = PQgetCopyData(db, &row, 0)) > 0; PQfreemem(row))
		bytes += (size_t)length;
	PQclear(result);
	result = PQgetResult(db);
	CHECK(PQresultStatus(result) == PGRES_COMMAND_OK);
	saw("%zu", bytes);
out:
	PQclear(result);
	while ((result = PQgetResult(db)) != NULL)
		PQclear(result);
}

static void a_copy_the_client_gives_up(PGconn *db)
{
	char sql[200];
	PGresult *result = NULL;
	snprintf(sql, sizeof sql, "COPY %s.c FROM STDIN", space);
	result = PQexec(db, sql);
	CHECK(PQresultStatus(result) == PGRES_COPY_IN);
	CHECK(PQputCopyData(db, "1\tx\n", 4) == 1);
	CHECK(PQputCopyEnd(db, "changed my mind") == 1);
	PQclear(result);
	result = PQgetResult(db);
	CHECK(PQresultStatus(result) == PGRES_FATAL_ERROR && sqlstate(result, "57014"));
	saw("\"57014\"");
out:
	PQclear(result);
	while ((result = PQgetResult(db)) != NULL)
		PQclear(result);
	still_on(db);
}

static void *cancel_later(void *cancel)
{
	char error[256];
	usleep(700000);
	return PQcancel(cancel, error, sizeof error) ? cancel : NULL;
}

static void cancelling(PGconn *db)
{
	pthread_t thread;
	void *sent = NULL;
	PGcancel *cancel = PQgetCancel(db);
	PGresult *result = NULL;
	CHECK(cancel && pthread_create(&thread, NULL, cancel_later, cancel) == 0);
	result = PQexec(db, "SELECT pg_sleep(30)");
	pthread_join(thread, &sent);
	CHECK(sent != NULL);
	CHECK(sqlstate(result, "57014"));
	saw("\"57014\"");
out:
	PQclear(result);
	PQfreeCancel(cancel);
	still_on(db);
}

static void a_portal_of_sql_pages(PGconn *db)
{
	PGresult *result = NULL;
	CHECK(did(db, "BEGIN") && did(db, "DECLARE p BINARY CURSOR FOR SELECT i FROM generate_series(1, 100) i"));
	result = PQexec(db, "FETCH 40 FROM p");
	CHECK(PQntuples(result) == 40 && PQfformat(result, 0) == 1);
	PQclear(result);
	result = PQexec(db, "FETCH ALL FROM p");
	CHECK(PQntuples(result) == 60);
	PQclear(result);
	result = PQdescribePortal(db, "p");
	CHECK(PQresultStatus(result) == PGRES_COMMAND_OK && PQnfields(result) == 1);
	CHECK(did(db, "COMMIT"));
	saw("[40, 60]");
out:
	PQclear(result);
}

static void an_error_has_its_fields(PGconn *db)
{
	char sql[200];
	snprintf(sql, sizeof sql, "INSERT INTO %s.t VALUES (1, 'again')", space);
	PGresult *result = PQexec(db, sql);
	CHECK(sqlstate(result, "23505"));
	CHECK(strcmp(PQresultErrorField(result, PG_DIAG_TABLE_NAME), "t") == 0);
	CHECK(strcmp(PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME), "t_pkey") == 0);
	saw("[\"%s\", \"%s\"]", PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED), PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
out:
	PQclear(result);
	still_on(db);
}

static void notifications_arrive(PGconn *db)
{
	char sql[200];
	PGconn *other = connected();
	PGnotify *note = NULL;
	if (!other)
		return;
	snprintf(sql, sizeof sql, "LISTEN %s", space);
	CHECK(did(db, sql));
	snprintf(sql, sizeof sql, "NOTIFY %s, 'hello'", space);
	CHECK(did(other, sql));
	for (int tries = 0; tries < 100 && !note; tries++) {
		struct pollfd wire = {PQsocket(db), POLLIN, 0};
		poll(&wire, 1, 100);
		CHECK(PQconsumeInput(db));
		note = PQnotifies(db);
	}
	CHECK(note && strcmp(note->extra, "hello") == 0);
	saw("\"%s\"", note->extra);
out:
	PQfreemem(note);
	PQfinish(other);
}

static void nothing_is_a_result_of_its_own(PGconn *db)
{
	PGresult *result = PQexec(db, "");
	CHECK(PQresultStatus(result) == PGRES_EMPTY_QUERY);
	PQclear(result);
	result = PQexecParams(db, " ", 0, NULL, NULL, NULL, NULL, 0);
	CHECK(PQresultStatus(result) == PGRES_EMPTY_QUERY);
	PQclear(result);
	result = PQexec(db, "SELECT");
	CHECK(PQresultStatus(result) == PGRES_TUPLES_OK && PQnfields(result) == 0 && PQntuples(result) == 1);
	saw("true");
out:
	PQclear(result);
}

static void function_calls_of_the_old_kind(PGconn *db)
{
	/* Direct: the server answers. The gateway refuses this message, since nothing in it can be read. */
	bool gateway = strcmp(getenv("VIA"), "gateway") == 0;
	int32_t answer = 0, length = 0;
	PQArgBlock argument = {.isint = 1, .len = 4, .u.integer = -5};
	/* 1397 is int4abs(int4), the same since its birth */
	PGresult *result = PQfn(db, 1397, &answer, &length, 1, &argument, 1);
	if (gateway)
		CHECK(PQresultStatus(result) == PGRES_FATAL_ERROR);
	else
		CHECK(PQresultStatus(result) == PGRES_COMMAND_OK && answer == 5);
	saw("\"refused by the gateway alone\"");
out:
	PQclear(result);
	still_on(db);
}

static void many_connections(PGconn *db)
{
	PGconn *all[20] = {0};
	for (int i = 0; i < 20; i++) {
		if (!(all[i] = connected()))
			goto out;
		CHECK(PQsendQuery(all[i], "SELECT pg_sleep(0.1), 'on'"));
	}
	for (int i = 0; i < 20; i++) {
		PGresult *result = PQgetResult(all[i]);
		bool good = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 1), "on") == 0;
		PQclear(result);
		CHECK(good);
	}
	saw("20");
out:
	for (int i = 0; i < 20; i++)
		PQfinish(all[i]);
}

static void the_schema_is_dropped(PGconn *db)
{
	char sql[200];
	snprintf(sql, sizeof sql, "DROP SCHEMA %s CASCADE", space);
	CHECK(did(db, sql));
	saw("true");
out:;
}

#define SCENARIO(name) {#name, name}
static const struct { const char *name; void (*run)(PGconn *); } scenarios[] = {
	SCENARIO(a_table_is_made), SCENARIO(binary_parameters_and_results), SCENARIO(a_prepared_statement_is_described),
	SCENARIO(rows_one_at_a_time), SCENARIO(a_pipeline_with_an_error_inside), SCENARIO(a_deep_pipeline),
	SCENARIO(copy_both_ways), SCENARIO(a_copy_the_client_gives_up), SCENARIO(cancelling), SCENARIO(a_portal_of_sql_pages),
	SCENARIO(an_error_has_its_fields), SCENARIO(notifications_arrive), SCENARIO(nothing_is_a_result_of_its_own),
	SCENARIO(function_calls_of_the_old_kind), SCENARIO(many_connections), SCENARIO(the_schema_is_dropped),
};

static void quiet(void *nobody, const PGresult *notice)
{
	(void)nobody;
	(void)notice;
}

int main(void)
{
	size_t count = sizeof scenarios / sizeof *scenarios;
	space = getenv("SPACE");
	for (size_t i = 0; i < count; i++) {
		value[0] = wrong[0] = 0;
		alarm(60); /* a scenario that hangs ends the conversation, which is told as a failure */
		PGconn *db = connected();
		if (db) {
			PQsetNoticeReceiver(db, quiet, NULL);
			scenarios[i].run(db);
			PQfinish(db);
		}
		printf("{\"name\": \"%s\", ", scenarios[i].name);
		if (*wrong) {
			printf("\"ok\": false, \"error\": ");
			json_text(wrong);
		} else
			printf("\"ok\": true, \"value\": %s", *value ? value : "null");
		puts("}");
		fflush(stdout);
	}
	printf("{\"done\": %zu}\n", count);
	return 0;
}
