//! Where every output column comes from, statement by statement.

mod common;

use common::{catalog, output, scope};

#[test]
fn smoke() {
    let catalog = catalog();
    let path = vec!["public".to_owned()];
    let scope = scope(&catalog, &path);
    for text in [
        "select * from patient",
        "select ssn as x, upper(name), p from patient p",
        "select count(*), count(ssn) from patient",
        "with c as (select ssn s from patient) select s from c",
        "select * from v_over",
        "select x from v_late",
        "select z from v_loop",
        "select row_to_json(p) from patient p",
        "select id from patient where ssn = '1' and name like 'x%' limit 5",
    ] {
        let script = vestibule_sql::read(text, &scope).unwrap();
        for s in &script.statements {
            println!(
                "{text}\n   {:?} {} {:?} {:?}\n   {}\n {:?}",
                s.operation.effect,
                s.operation.action,
                s.operation.reading,
                s.operation.traits,
                output(&s.output),
                s.operation.resources
            );
            println!("{:?}", s.operation.literals);
        }
    }
}
