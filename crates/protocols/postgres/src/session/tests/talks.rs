//! Conversations as a real server would hold them.

use super::build::*;
use vestibule_testkit::Talk;

const ID: (&str, u32, i16, u32, bool) = ("id", 16_384, 1, 23, false);
const SSN: (&str, u32, i16, u32, bool) = ("ssn", 16_384, 2, 25, false);

fn rows(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| data_row(&[Some(n.to_string().as_bytes()), Some(b"078-05-1120")])).collect()
}

fn selected(count: usize) -> Vec<u8> {
    join(&[description(&[ID, SSN]), rows(count), complete(&format!("SELECT {count}"))])
}

fn unit(text: &str) -> Vec<u8> {
    join(&[parse("", text), bind("", ""), describe(b'P', ""), execute("", 0)])
}

fn unit_answer(count: usize) -> Vec<u8> {
    join(&[bare(b'1'), bare(b'2'), selected(count)])
}

pub fn all() -> Vec<Talk> {
    [simple(), extended(), copies(), asides()].concat()
}

fn simple() -> Vec<Talk> {
    let text = "SELECT id, ssn FROM patient";
    vec![
        Talk::new("simple").client(query(text)).target(join(&[selected(3), ready(b'I')])),
        Talk::new("nothing said").client(query("")).target(join(&[bare(b'I'), ready(b'I')])),
        Talk::new("a script")
            .client(query(
                "SELECT id, ssn FROM patient; UPDATE ward SET beds = 1 WHERE id = 1; SELECT id, ssn FROM patient",
            ))
            .target(join(&[selected(2), complete("UPDATE 1"), selected(0), ready(b'I')])),
        Talk::new("an error in a script")
            .client(query("SELECT id, ssn FROM patient; SELECT 1/0; SELECT 2"))
            .target(join(&[selected(1), error("22012", "division by zero"), ready(b'I')])),
        Talk::new("queries one behind the other")
            .client(join(&[query(text), query(text), query(text)]))
            .target(join(&[selected(1), ready(b'I'), selected(2), ready(b'I'), selected(1), ready(b'I')])),
        Talk::new("a transaction")
            .client(query("BEGIN"))
            .target(join(&[complete("BEGIN"), ready(b'T')]))
            .client(query("SELECT 1/0"))
            .target(join(&[error("22012", "division by zero"), ready(b'E')]))
            .client(query("SELECT 1"))
            .target(join(&[error("25P02", "current transaction is aborted"), ready(b'E')]))
            .client(query("ROLLBACK"))
            .target(join(&[complete("ROLLBACK"), ready(b'I')])),
        Talk::new("a prepared statement of SQL")
            .client(query("PREPARE p AS SELECT id, ssn FROM patient"))
            .target(join(&[complete("PREPARE"), ready(b'I')]))
            .client(query("EXECUTE p"))
            .target(join(&[selected(2), ready(b'I')])),
        Talk::new("a cursor")
            .client(query("BEGIN; DECLARE c CURSOR FOR SELECT id, ssn FROM patient"))
            .target(join(&[complete("BEGIN"), complete("DECLARE CURSOR"), ready(b'T')]))
            .client(query("FETCH 2 FROM c"))
            .target(join(&[description(&[ID, SSN]), rows(2), complete("FETCH 2"), ready(b'T')]))
            .client(query("COMMIT"))
            .target(join(&[complete("COMMIT"), ready(b'I')])),
        Talk::new("goodbye").client(join(&[query(text)])).target(join(&[selected(1), ready(b'I')])).client(bare(b'X')),
    ]
}

fn extended() -> Vec<Talk> {
    let text = "SELECT id, ssn FROM patient";
    vec![
        Talk::new("extended").client(join(&[unit(text), sync()])).target(join(&[unit_answer(3), ready(b'I')])),
        Talk::new("prepared by name")
            .client(join(&[parse("s", text), describe(b'S', "s"), sync()]))
            .target(join(&[bare(b'1'), parameters(&[23]), description(&[ID, SSN]), ready(b'I')]))
            .client(join(&[bind_with("s", "7"), describe(b'P', ""), execute("", 0), sync()]))
            .target(join(&[bare(b'2'), selected(2), ready(b'I')]))
            .client(join(&[close(b'S', "s"), sync()]))
            .target(join(&[bare(b'3'), ready(b'I')])),
        Talk::new("a pipeline")
            .client(join(&[unit(text), unit(text), unit("UPDATE ward SET beds = 2 WHERE id = 2"), sync()]))
            .target(join(&[
                unit_answer(1),
                unit_answer(2),
                join(&[bare(b'1'), bare(b'2'), bare(b'n'), complete("UPDATE 1")]),
                ready(b'I'),
            ])),
        Talk::new("an error in a pipeline")
            .client(join(&[unit(text), unit("SELECT 1/0"), unit(text), sync()]))
            .target(join(&[unit_answer(1), bare(b'1'), error("22012", "division by zero"), ready(b'I')]))
            .client(join(&[unit(text), sync()]))
            .target(join(&[unit_answer(1), ready(b'I')])),
        Talk::new("a portal in pages")
            .client(join(&[parse("", text), bind("p", ""), describe(b'P', "p"), execute("p", 2), bare(b'H')]))
            .target(join(&[bare(b'1'), bare(b'2'), description(&[ID, SSN]), rows(2), bare(b's')]))
            .client(join(&[execute("p", 2), bare(b'H')]))
            .target(join(&[rows(1), complete("SELECT 1")]))
            .client(join(&[close(b'P', "p"), sync()]))
            .target(join(&[bare(b'3'), ready(b'I')])),
        Talk::new("a portal left open")
            .client(join(&[parse("", text), bind("p", ""), describe(b'P', "p"), execute("p", 1), sync()]))
            .target(join(&[bare(b'1'), bare(b'2'), description(&[ID, SSN]), rows(1), bare(b's'), ready(b'I')])),
        Talk::new("a bad parse")
            .client(join(&[parse("s", "SELECT sssn FROM patient"), describe(b'S', "s"), sync()]))
            .target(join(&[error("42703", "column \"sssn\" does not exist"), ready(b'I')])),
        Talk::new("step by step")
            .client(join(&[parse("", text), bare(b'H')]))
            .target(bare(b'1'))
            .client(join(&[bind("", ""), bare(b'H')]))
            .target(bare(b'2'))
            .client(join(&[describe(b'P', ""), bare(b'H')]))
            .target(description(&[ID, SSN])),
        Talk::new("nothing prepared")
            .client(join(&[parse("", ""), bind("", ""), describe(b'P', ""), execute("", 0), sync()]))
            .target(join(&[bare(b'1'), bare(b'2'), bare(b'n'), bare(b'I'), ready(b'I')])),
        Talk::new("only a sync").client(sync()).target(ready(b'I')),
    ]
}

fn copies() -> Vec<Talk> {
    let data = |bytes: &[u8]| message(b'd', bytes);
    vec![
        Talk::new("copy out").client(query("COPY patient (id, ssn) TO STDOUT")).target(join(&[
            copy_out(false, 2),
            data(b"1\t078-05-1120\n"),
            data(b"2\t\\N\n3\t0"),
            data(b"78\n"),
            bare(b'c'),
            complete("COPY 3"),
            ready(b'I'),
        ])),
        Talk::new("copy out as csv").client(query("COPY patient (id, ssn) TO STDOUT (FORMAT csv, HEADER)")).target(
            join(&[
                copy_out(false, 2),
                data(b"id,ssn\n"),
                data(b"1,\"078-05\n-1120\"\n"),
                bare(b'c'),
                complete("COPY 1"),
                ready(b'I'),
            ]),
        ),
        Talk::new("copy out, cut off by an error").client(query("COPY patient (id, ssn) TO STDOUT")).target(join(&[
            copy_out(false, 2),
            data(b"1\t0\n"),
            error("57014", "canceling statement"),
            ready(b'I'),
        ])),
        Talk::new("copy in")
            .client(query("COPY ward FROM STDIN"))
            .target(copy_in(3))
            .client(join(&[data(b"1\t2\tx\n"), data(b"2\t"), data(b"3\ty\n"), bare(b'c')]))
            .target(join(&[complete("COPY 2"), ready(b'I')])),
        Talk::new("copy in, given up")
            .client(query("COPY ward FROM STDIN"))
            .target(copy_in(3))
            .client(join(&[data(b"1\t2\tx\n"), message(b'f', b"no more\0")]))
            .target(join(&[error("57014", "COPY from stdin failed: no more"), ready(b'I')])),
        Talk::new("copy in, extended")
            .client(join(&[unit("COPY ward FROM STDIN"), sync()]))
            .target(join(&[bare(b'1'), bare(b'2'), bare(b'n'), copy_in(3)]))
            .client(join(&[data(b"1\t2\tx\n"), bare(b'c'), sync()]))
            .target(join(&[complete("COPY 1"), ready(b'I')])),
        Talk::new("copy in, extended, bad data")
            .client(join(&[unit("COPY ward FROM STDIN"), bare(b'H')]))
            .target(join(&[bare(b'1'), bare(b'2'), bare(b'n'), copy_in(3)]))
            .client(data(b"x\n"))
            .target(error("22P02", "invalid input syntax"))
            .client(sync())
            .target(ready(b'I')),
    ]
}

fn asides() -> Vec<Talk> {
    let text = "SELECT id, ssn FROM patient";
    vec![
        Talk::new("asides")
            .target(parameter("TimeZone", "UTC"))
            .client(query(text))
            .target(join(&[
                description(&[ID, SSN]),
                rows(1),
                notice("by the way"),
                rows(1),
                complete("SELECT 2"),
                parameter("application_name", "x"),
                ready(b'I'),
            ]))
            .target(notification("here", "words")),
        Talk::new("cut off").client(query(text)).target(join(&[
            description(&[ID, SSN]),
            rows(1),
            fatal("57P01", "terminating connection due to administrator command"),
        ])),
        Talk::new("cancelled")
            .client(query("SELECT pg_sleep(1)"))
            .target(join(&[error("57014", "canceling statement due to user request"), ready(b'I')])),
    ]
}
