//! COPY.

use crate::flow::Rows;
use crate::names::{Reader, shared};
use crate::settings::{truth, value};
use crate::{Copy, CopyFormat, CopyWay, ReadError};
use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, RangeVar};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

impl Reader<'_> {
    /// Reads a COPY; the rows are what flows out, if anything does.
    pub(crate) fn copy(&mut self, copy: &CopyStmt) -> Result<(Rows, Option<Copy>), ReadError> {
        let way = if copy.is_from { CopyWay::In } else { CopyWay::Out };
        let mut types = Vec::new();
        let rows = match (&copy.relation, copy.query.as_deref()) {
            (Some(relation), _) => {
                let columns = shared(&copy.attlist);
                types = self.types(relation, &columns);
                self.copy_relation(relation, columns, copy)?
            }
            (None, Some(query)) => {
                if !matches!(query.node, Some(NodeEnum::SelectStmt(_))) {
                    self.facts.traits.insert(traits::HIDDEN_WRITE);
                }
                let rows = self.query(query)?;
                types.resize(rows.columns.len(), None);
                rows
            }
            (None, None) => Rows::unknown(),
        };
        self.facts.at_least(if copy.is_from { Effect::Write } else { Effect::Read });
        let bulk = if copy.is_from { traits::BULK_IMPORT } else { traits::BULK_EXPORT };
        self.facts.traits.insert(bulk);
        if copy.is_program || !copy.filename.is_empty() {
            self.facts.at_least(Effect::Administer);
            let (fact, kind) =
                if copy.is_program { (traits::SERVER_PROGRAM, "program") } else { (traits::SERVER_FILE, "file") };
            self.facts.traits.insert(fact);
            let access = match (copy.is_program, copy.is_from) {
                (true, _) => Access::Execute,
                (false, true) => Access::Read,
                (false, false) => Access::Write,
            };
            self.facts.resource(kind, &Arc::from(copy.filename.as_str()), access);
            return Ok((Rows::default(), None));
        }
        let format = self.copy_format(copy);
        let rows = if copy.is_from { Rows::default() } else { rows };
        Ok((rows, Some(Copy { way, format, types })))
    }

    fn copy_relation(
        &mut self,
        relation: &RangeVar,
        columns: Vec<Arc<str>>,
        copy: &CopyStmt,
    ) -> Result<Rows, ReadError> {
        self.levels.push(Default::default());
        let mut item = self.relation_item(relation, !copy.is_from);
        item.name = Some(Arc::from(relation.relname.as_str()));
        let mut rows = item.rows.clone();
        if !columns.is_empty() {
            let chosen = columns.iter().map(|name| rows.columns.iter().find(|c| c.name == *name).cloned());
            match chosen.collect::<Option<Vec<_>>>() {
                Some(chosen) => rows = Rows { columns: chosen, open: None },
                None => rows = Rows::unknown(),
            }
        }
        if copy.is_from {
            let names = if columns.is_empty() {
                rows.columns.iter().map(|column| Arc::clone(&column.name)).collect()
            } else {
                columns
            };
            self.mark(relation, Access::Write, &names);
            self.show(vec![item]);
            self.one(copy.where_clause.as_deref())?;
            if self.relation(relation).is_some_and(|relation| relation.runs_code) {
                self.facts.partial("triggers or rules of the table run code");
            }
        } else {
            self.use_rows(&rows);
        }
        self.levels.pop();
        Ok(rows)
    }

    fn types(&self, range: &RangeVar, columns: &[Arc<str>]) -> Vec<Option<u32>> {
        let Some(relation) = self.relation(range) else { return vec![None; columns.len()] };
        let own = relation.columns.iter().filter(|column| column.number > 0);
        if columns.is_empty() {
            return own.map(|column| Some(column.type_oid)).collect();
        }
        let named = |name: &Arc<str>| relation.columns.iter().find(|c| c.name == *name).map(|c| c.type_oid);
        columns.iter().map(named).collect()
    }

    /// The options, in either of their spellings. What is not understood makes the reading partial.
    fn copy_format(&mut self, copy: &CopyStmt) -> CopyFormat {
        let mut chosen = Options::default();
        for node in &copy.options {
            let Some(NodeEnum::DefElem(option)) = &node.node else { continue };
            let text = option.arg.as_deref().and_then(value);
            let byte = text.as_deref().and_then(|text| text.bytes().next().filter(|_| text.len() == 1));
            match option.defname.as_str() {
                "format" => chosen.format = text.unwrap_or_default(),
                "delimiter" => chosen.delimiter = byte,
                "quote" => chosen.quote = byte,
                "escape" => chosen.escape = byte,
                "null" => chosen.null = text,
                "header" => chosen.header = text.is_none_or(|word| truth(&word) != Some(false)),
                "encoding" => {
                    if text.is_none_or(|name| !is_utf8(&name)) {
                        self.facts.partial("COPY in an encoding other than UTF-8 is not read");
                    }
                }
                "freeze" | "force_quote" | "force_not_null" | "force_null" | "default" | "on_error"
                | "log_verbosity" | "reject_limit" => {}
                other => self.facts.partial(format!("the COPY option {other} is not known")),
            }
        }
        match chosen.format.as_str() {
            "" | "text" => CopyFormat::Text {
                delimiter: chosen.delimiter.unwrap_or(b'\t'),
                null: chosen.null.unwrap_or_else(|| "\\N".to_owned()),
                header: chosen.header,
            },
            "csv" => {
                let quote = chosen.quote.unwrap_or(b'"');
                CopyFormat::Csv {
                    delimiter: chosen.delimiter.unwrap_or(b','),
                    quote,
                    escape: chosen.escape.unwrap_or(quote),
                    null: chosen.null.unwrap_or_default(),
                    header: chosen.header,
                }
            }
            "binary" => CopyFormat::Binary,
            _ => {
                self.facts.partial("the COPY format is not known");
                CopyFormat::Binary
            }
        }
    }
}

#[derive(Default)]
struct Options {
    format: String,
    delimiter: Option<u8>,
    quote: Option<u8>,
    escape: Option<u8>,
    null: Option<String>,
    header: bool,
}

fn is_utf8(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().replace(['-', '_'], "").as_str(), "utf8" | "unicode")
}
