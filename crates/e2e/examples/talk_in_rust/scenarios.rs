//! The scenarios.

use crate::{Scenario, Seen, Session, connect, space, tls};
use futures_util::{SinkExt as _, TryStreamExt as _, future, pin_mut};
use serde_json::json;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, SimpleQueryMessage};

/// Every scenario by name, in order.
pub fn all() -> Vec<(&'static str, Scenario)> {
    macro_rules! list {
        ($($name:ident),* $(,)?) => { vec![$((stringify!($name), (|session| Box::pin($name(session))) as Scenario)),*] };
    }
    list![
        a_table_is_made,
        values_in_binary,
        a_statement_is_described_and_reused,
        the_simple_protocol,
        requests_sent_without_waiting,
        an_error_among_requests_sent_without_waiting,
        a_portal_pages,
        rows_as_a_stream,
        copy_both_ways,
        a_transaction_dropped_is_undone,
        errors_and_going_on,
        notifications_arrive,
        cancelling,
        types_of_our_own,
        a_large_value_both_ways,
        the_schema_is_dropped,
    ]
}

fn same<T: PartialEq + std::fmt::Debug>(seen: &T, wanted: &T) {
    assert!(seen == wanted, "saw {seen:?}, wanted {wanted:?}");
}

async fn a_table_is_made(session: Session) -> Seen {
    let db = session.client;
    let space = space();
    db.batch_execute(&format!(
        "DROP SCHEMA IF EXISTS {space} CASCADE; CREATE SCHEMA {space};
         CREATE TABLE {space}.t (id int PRIMARY KEY, name text)"
    ))
    .await?;
    let insert = db.prepare(&format!("INSERT INTO {space}.t VALUES ($1, $2)")).await?;
    let names: Vec<(i32, String)> = (0..1000).map(|id| (id, format!("näme {id}"))).collect();
    let counts = names.iter().map(|(id, name)| async { db.execute(&insert, &[id, name]).await });
    let counts = future::try_join_all(counts).await?;
    same(&counts.iter().sum::<u64>(), &1000);
    Ok(json!(1000))
}

async fn values_in_binary(session: Session) -> Seen {
    let bytes: Vec<u8> = (0..=255).collect();
    let array = vec![Some(1_i32), None, Some(3)];
    let sql = "SELECT $1::int8, $2::float8, $3::bool, $4::text, $5::bytea, $6::int4[], $7::int4, now()";
    let none: Option<i32> = None;
    let row =
        session.client.query_one(sql, &[&(1_i64 << 62), &0.1_f64, &true, &"ü 李 🏥", &bytes, &array, &none]).await?;
    same(&row.get::<_, i64>(0), &(1 << 62));
    same(&row.get::<_, f64>(1), &0.1);
    same(&row.get::<_, String>(3), &"ü 李 🏥".to_owned());
    same(&row.get::<_, Vec<u8>>(4), &bytes);
    same(&row.get::<_, Vec<Option<i32>>>(5), &array);
    same(&row.get::<_, Option<i32>>(6), &None);
    assert!(row.get::<_, std::time::SystemTime>(7) > std::time::UNIX_EPOCH);
    Ok(json!(row.columns().iter().map(|column| (column.name(), column.type_().name())).collect::<Vec<_>>()))
}

async fn a_statement_is_described_and_reused(session: Session) -> Seen {
    let db = session.client;
    let statement =
        db.prepare_typed(&format!("SELECT id, name FROM {}.t WHERE id = $1", space()), &[Type::INT4]).await?;
    for id in 0..100_i32 {
        let row = db.query_one(&statement, &[&id]).await?;
        same(&row.get::<_, String>(1), &format!("näme {id}"));
    }
    Ok(json!(
        statement
            .columns()
            .iter()
            .map(|column| (column.name(), column.type_().name(), column.column_id()))
            .collect::<Vec<_>>()
    ))
}

async fn the_simple_protocol(session: Session) -> Seen {
    let messages = session.client.simple_query("SELECT 1 AS a; SELECT NULL AS b; CREATE TEMP TABLE x (i int)").await?;
    let seen: Vec<_> = messages
        .iter()
        .map(|message| match message {
            SimpleQueryMessage::Row(row) => json!({"row": row.get(0)}),
            SimpleQueryMessage::CommandComplete(count) => json!({"done": count}),
            SimpleQueryMessage::RowDescription(columns) => json!({"columns": columns.len()}),
            _ => json!("other"),
        })
        .collect();
    Ok(json!(seen))
}

async fn requests_sent_without_waiting(session: Session) -> Seen {
    let db = &session.client;
    let asked = (0..500_i32).map(|n| async move { db.query_one("SELECT $1::int4 * 2", &[&n]).await });
    let rows = future::try_join_all(asked).await?;
    let sum: i64 = rows.iter().map(|row| i64::from(row.get::<_, i32>(0))).sum();
    same(&sum, &249_500);
    Ok(json!(sum))
}

async fn an_error_among_requests_sent_without_waiting(session: Session) -> Seen {
    let db = &session.client;
    let divide = db.prepare("SELECT 10 / $1::int4").await?;
    let asked = [2_i32, 0, 5].map(|n| {
        let divide = divide.clone();
        async move { db.query_one(&divide, &[&n]).await.map(|row| row.get::<_, i32>(0)).map_err(|error| code(&error)) }
    });
    let seen = future::join_all(asked).await;
    same(&seen, &vec![Ok(5), Err("22012".to_owned()), Ok(2)]);
    Ok(json!(true))
}

async fn a_portal_pages(mut session: Session) -> Seen {
    let transaction = session.client.transaction().await?;
    let portal = transaction.bind("SELECT i FROM generate_series(1, 100) i", &[]).await?;
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(transaction.query_portal(&portal, 40).await?.len());
    }
    transaction.commit().await?;
    same(&sizes, &vec![40, 40, 20, 0]);
    Ok(json!(sizes))
}

async fn rows_as_a_stream(session: Session) -> Seen {
    let none: [&(dyn ToSql + Sync); 0] = [];
    let rows = session.client.query_raw("SELECT i FROM generate_series(1, 50000) i", none).await?;
    pin_mut!(rows);
    let mut sum = 0_i64;
    while let Some(row) = rows.try_next().await? {
        sum += i64::from(row.get::<_, i32>(0));
    }
    same(&sum, &1_250_025_000);
    Ok(json!(sum))
}

async fn copy_both_ways(session: Session) -> Seen {
    let db = session.client;
    let space = space();
    db.batch_execute(&format!("CREATE TABLE {space}.c (a int, b text)")).await?;
    let sink = db.copy_in(&format!("COPY {space}.c FROM STDIN")).await?;
    pin_mut!(sink);
    let text: Vec<String> = (0..5000).map(|n| format!("{n}\tname {n}\n")).collect();
    for part in text.chunks(100) {
        sink.send(std::io::Cursor::new(part.concat().into_bytes())).await?;
    }
    same(&sink.finish().await?, &5000);
    let out = db.copy_out(&format!("COPY (SELECT * FROM {space}.c ORDER BY a) TO STDOUT")).await?;
    let parts: Vec<_> = out.try_collect().await?;
    let all: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
    same(&all, &text.concat().into_bytes());
    Ok(json!(all.len()))
}

async fn a_transaction_dropped_is_undone(mut session: Session) -> Seen {
    let delete = format!("DELETE FROM {}.t", space());
    let transaction = session.client.transaction().await?;
    same(&transaction.execute(&delete, &[]).await?, &1000);
    drop(transaction);
    let count: i64 = session.client.query_one(&format!("SELECT count(*) FROM {}.t", space()), &[]).await?.get(0);
    same(&count, &1000);
    Ok(json!(count))
}

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| error.to_string(), |state| state.code().to_owned())
}

async fn errors_and_going_on(session: Session) -> Seen {
    let space = space();
    let mut codes = Vec::new();
    for sql in [
        format!("SELECT * FROM {space}.missing"),
        "SELECT 1/0".to_owned(),
        "SELEC 1".to_owned(),
        format!("INSERT INTO {space}.t VALUES (1, 'x')"),
    ] {
        codes.push(session.client.query(&sql, &[]).await.err().map(|error| code(&error)).unwrap_or_default());
    }
    same(&codes.join(" "), &"42P01 22012 42601 23505".to_owned());
    same(&session.client.query_one("SELECT 'on'", &[]).await?.get::<_, String>(0), &"on".to_owned());
    Ok(json!(codes))
}

async fn notifications_arrive(mut session: Session) -> Seen {
    session.client.batch_execute(&format!("LISTEN {}", space())).await?;
    let other = connect().await?;
    other.client.batch_execute(&format!("NOTIFY {}, 'hello'", space())).await?;
    while let Some(message) = session.messages.recv().await {
        if let AsyncMessage::Notification(note) = message {
            same(&note.payload().to_owned(), &"hello".to_owned());
            return Ok(json!(note.payload()));
        }
    }
    panic!("the connection ended before the notification came");
}

async fn cancelling(session: Session) -> Seen {
    let token = session.client.cancel_token();
    let tls = tls()?;
    let later = async {
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        token.cancel_query(tls).await
    };
    let (ended, sent) = future::join(session.client.batch_execute("SELECT pg_sleep(30)"), later).await;
    sent?;
    same(&ended.unwrap_err().code().cloned(), &Some(SqlState::QUERY_CANCELED));
    session.client.batch_execute("SELECT 1").await?;
    Ok(json!("57014"))
}

async fn types_of_our_own(session: Session) -> Seen {
    let db = session.client;
    let space = space();
    db.batch_execute(&format!(
        "CREATE TYPE {space}.mood AS ENUM ('well', 'ill'); CREATE TYPE {space}.pair AS (a int, b {space}.mood)"
    ))
    .await?;
    let statement = db.prepare(&format!("SELECT 'ill'::{space}.mood AS m, ROW(1, 'well')::{space}.pair AS p")).await?;
    let kinds: Vec<_> = statement
        .columns()
        .iter()
        .map(|column| format!("{:?}", column.type_().kind()).replace(char::is_numeric, ""))
        .collect();
    assert!(kinds[0].contains("ill"), "{kinds:?}");
    Ok(json!(statement.columns().iter().map(|column| column.type_().name().to_owned()).collect::<Vec<_>>()))
}

async fn a_large_value_both_ways(session: Session) -> Seen {
    let word = "ü".repeat(2_000_000);
    let row = session.client.query_one("SELECT $1::text, md5($1)", &[&word]).await?;
    assert!(row.get::<_, String>(0) == word);
    Ok(json!(row.get::<_, String>(1)))
}

async fn the_schema_is_dropped(session: Session) -> Seen {
    session.client.batch_execute(&format!("DROP SCHEMA {} CASCADE", space())).await?;
    Ok(json!(true))
}
