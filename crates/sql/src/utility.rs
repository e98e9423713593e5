//! Everything that is no query: what it can do, and what it changes of the session.

use crate::flow::Rows;
use crate::names::{Reader, strings};
use crate::settings::{truth, value};
use crate::{Copy, Output, ReadError, SessionChange};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    CreateTableAsStmt, DiscardMode, ExplainStmt, FetchStmt, IntoClause, Node, RangeVar, TransactionStmt,
    TransactionStmtKind,
};
use std::borrow::Cow;
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

/// What one statement was found to be.
pub(crate) struct Told {
    pub(crate) action: Cow<'static, str>,
    pub(crate) output: Output,
    pub(crate) session: SessionChange,
    pub(crate) copy: Option<Copy>,
}

impl Told {
    pub(crate) fn new(action: &'static str) -> Self {
        Self { action: Cow::Borrowed(action), output: Output::None, session: SessionChange::None, copy: None }
    }

    pub(crate) fn changing(action: &'static str, session: SessionChange) -> Self {
        Self { session, ..Self::new(action) }
    }
}

impl Reader<'_> {
    /// Reads one statement.
    pub(crate) fn statement(&mut self, node: &NodeEnum) -> Result<Told, ReadError> {
        match node {
            NodeEnum::SelectStmt(select) => {
                let rows = self.select(select)?;
                if let Some(into) = select.into_clause.as_deref().or_else(|| leftmost_into(select)) {
                    self.stored(into.rel.as_ref(), &rows);
                    self.facts.at_least(Effect::Define);
                    return Ok(Told::changing("SELECT INTO", SessionChange::Structure));
                }
                Ok(Told { output: output(&rows), session: self.configured(), ..Told::new("SELECT") })
            }
            NodeEnum::InsertStmt(change) => {
                self.change("INSERT", change.returning_clause.is_some(), |r| r.insert(change))
            }
            NodeEnum::UpdateStmt(change) => {
                self.change("UPDATE", change.returning_clause.is_some(), |r| r.update(change))
            }
            NodeEnum::DeleteStmt(change) => {
                self.change("DELETE", change.returning_clause.is_some(), |r| r.delete(change))
            }
            NodeEnum::MergeStmt(change) => self.change("MERGE", change.returning_clause.is_some(), |r| r.merge(change)),
            NodeEnum::CopyStmt(copy) => {
                let (rows, copied) = self.copy(copy)?;
                let out = copied.is_some() && !copy.is_from;
                let output = if out { output(&rows) } else { Output::None };
                Ok(Told { output, copy: copied, ..Told::new("COPY") })
            }
            NodeEnum::ExplainStmt(explain) => self.explain(explain),
            _ => self.session_statement(node),
        }
    }

    fn change(
        &mut self,
        action: &'static str,
        returning: bool,
        read: impl FnOnce(&mut Self) -> Result<Rows, ReadError>,
    ) -> Result<Told, ReadError> {
        let rows = read(self)?;
        let output = match (returning, self.facts.is_exact()) {
            (true, _) => output(&rows),
            // A rule may return rows of its own.
            (false, false) => Output::Unknown,
            (false, true) => Output::None,
        };
        Ok(Told { output, session: self.configured(), ..Told::new(action) })
    }

    fn explain(&mut self, explain: &ExplainStmt) -> Result<Told, ReadError> {
        let mut analyze = false;
        for node in &explain.options {
            if let Some(NodeEnum::DefElem(option)) = &node.node
                && option.defname.eq_ignore_ascii_case("analyze")
            {
                let word = option.arg.as_deref().and_then(value);
                analyze = word.is_none_or(|word| truth(&word) != Some(false));
            }
        }
        let Some(query) = explain.query.as_deref().and_then(|query| query.node.as_ref()) else {
            return Ok(Told::new("EXPLAIN"));
        };
        let before = std::mem::replace(&mut self.facts, crate::facts::Facts::new());
        let _inner = self.statement(query)?;
        let inner = std::mem::replace(&mut self.facts, before);
        let output = match inner.touched_flow().columns() {
            Some(columns) => Output::Within(columns.share()),
            None => Output::Unknown,
        };
        let effect = inner.effect;
        self.facts.absorb(&inner);
        if analyze {
            if effect.changes_target() {
                self.facts.traits.insert(traits::HIDDEN_WRITE);
            }
        } else {
            // Planning runs functions that are not volatile, so only what is certain to be planned alone is lowered.
            let planned_only = matches!(effect, Effect::Write | Effect::Define);
            self.facts.effect = if planned_only { Effect::Read } else { effect };
        }
        Ok(Told { output, ..Told::new("EXPLAIN") })
    }

    fn session_statement(&mut self, node: &NodeEnum) -> Result<Told, ReadError> {
        Ok(match node {
            NodeEnum::VariableSetStmt(set) => Told::changing("SET", self.set(set)),
            NodeEnum::VariableShowStmt(show) => {
                let columns = if show.name == "all" { 3 } else { 1 };
                // A setting with a dot in its name is a user's own, and can hold anything.
                let own = show.name.contains('.') || show.name == "all";
                let value = if own { crate::Lineage::Unknown } else { crate::Lineage::Derived(Arc::from([])) };
                Told { output: Output::Columns(vec![value; columns]), ..Told::new("SHOW") }
            }
            NodeEnum::TransactionStmt(transaction) => self.transaction(transaction),
            NodeEnum::ExecuteStmt(execute) => {
                self.all(&execute.params)?;
                self.facts.at_least(Effect::Execute);
                self.facts.resource("prepared statement", &Arc::from(execute.name.as_str()), Access::Execute);
                self.facts.touched_unknown = true;
                self.facts.partial(format!("what the prepared statement {} does is not in this one", execute.name));
                Told { output: Output::OfPrepared(execute.name.clone()), ..Told::new("EXECUTE") }
            }
            NodeEnum::DeallocateStmt(deallocate) => {
                let name = (!deallocate.isall).then(|| deallocate.name.clone());
                Told::changing("DEALLOCATE", SessionChange::Deallocate(name))
            }
            NodeEnum::DeclareCursorStmt(declare) => {
                let rows = match declare.query.as_deref() {
                    Some(query) => self.query(query)?,
                    None => Rows::unknown(),
                };
                let output = output(&rows);
                Told::changing("DECLARE CURSOR", SessionChange::Declare(declare.portalname.clone(), output))
            }
            NodeEnum::FetchStmt(fetch) => self.fetch(fetch),
            NodeEnum::ClosePortalStmt(close) => {
                let name = (!close.portalname.is_empty()).then(|| close.portalname.clone());
                Told::changing("CLOSE", SessionChange::CloseCursor(name))
            }
            NodeEnum::DiscardStmt(discard) => match DiscardMode::try_from(discard.target) {
                Ok(DiscardMode::DiscardPlans | DiscardMode::DiscardSequences) => Told::new("DISCARD"),
                Ok(DiscardMode::DiscardTemp) => {
                    self.facts.at_least(Effect::Define);
                    Told::changing("DISCARD", SessionChange::Structure)
                }
                _ => Told::changing("DISCARD ALL", SessionChange::Reset),
            },
            NodeEnum::ConstraintsSetStmt(_) => {
                self.facts.traits.insert(traits::SETTING);
                Told::new("SET CONSTRAINTS")
            }
            NodeEnum::ListenStmt(listen) => self.channel("LISTEN", &listen.conditionname, Access::Read, Effect::Read),
            NodeEnum::UnlistenStmt(listen) => {
                self.channel("UNLISTEN", &listen.conditionname, Access::Read, Effect::Open)
            }
            NodeEnum::NotifyStmt(notify) => self.channel("NOTIFY", &notify.conditionname, Access::Write, Effect::Write),
            _ => self.code_statement(node)?,
        })
    }

    fn channel(&mut self, action: &'static str, name: &str, access: Access, effect: Effect) -> Told {
        self.facts.at_least(effect);
        if !name.is_empty() {
            self.facts.resource("channel", &Arc::from(name), access);
        }
        Told::new(action)
    }

    fn fetch(&mut self, fetch: &FetchStmt) -> Told {
        self.facts.at_least(Effect::Read);
        self.facts.resource("cursor", &Arc::from(fetch.portalname.as_str()), Access::Read);
        if fetch.ismove {
            return Told::new("MOVE");
        }
        Told { output: Output::OfCursor(fetch.portalname.clone()), ..Told::new("FETCH") }
    }

    fn transaction(&mut self, transaction: &TransactionStmt) -> Told {
        self.facts.traits.insert(traits::TRANSACTION);
        match TransactionStmtKind::try_from(transaction.kind).unwrap_or(TransactionStmtKind::Undefined) {
            TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => Told::new("BEGIN"),
            TransactionStmtKind::TransStmtCommit => Told::new("COMMIT"),
            TransactionStmtKind::TransStmtRollback => Told::changing("ROLLBACK", SessionChange::Rollback),
            TransactionStmtKind::TransStmtRollbackTo => Told::changing("ROLLBACK TO", SessionChange::Rollback),
            TransactionStmtKind::TransStmtSavepoint => Told::new("SAVEPOINT"),
            TransactionStmtKind::TransStmtRelease => Told::new("RELEASE"),
            TransactionStmtKind::TransStmtPrepare => Told::new("PREPARE TRANSACTION"),
            TransactionStmtKind::TransStmtCommitPrepared => {
                self.facts.at_least(Effect::Write);
                Told::new("COMMIT PREPARED")
            }
            TransactionStmtKind::TransStmtRollbackPrepared => {
                self.facts.at_least(Effect::Write);
                Told::new("ROLLBACK PREPARED")
            }
            TransactionStmtKind::Undefined => {
                self.facts.at_least(Effect::Administer);
                self.facts.partial("a transaction command of a kind that is not known");
                Told::new("TRANSACTION")
            }
        }
    }

    fn code_statement(&mut self, node: &NodeEnum) -> Result<Told, ReadError> {
        Ok(match node {
            NodeEnum::LockStmt(lock) => {
                self.facts.at_least(Effect::Read);
                self.facts.traits.insert(traits::LOCK);
                self.mark_all(&lock.relations, Access::Read);
                Told::new("LOCK TABLE")
            }
            NodeEnum::DoStmt(_) => {
                self.facts.at_least(Effect::Execute);
                self.facts.traits.insert(traits::DYNAMIC_CODE);
                self.facts.partial("the code of a DO block is not read");
                // It may change settings, names and rights.
                Told::changing("DO", SessionChange::Role)
            }
            NodeEnum::CallStmt(call) => {
                if let Some(call) = call.funccall.as_deref() {
                    self.all(&call.args)?;
                    self.unknown_function(&strings(&call.funcname).join("."));
                }
                self.facts.at_least(Effect::Execute);
                Told { output: Output::Unknown, session: SessionChange::Role, ..Told::new("CALL") }
            }
            NodeEnum::CreateTableAsStmt(create) => self.create_table_as(create)?,
            NodeEnum::ViewStmt(view) => {
                self.facts.at_least(Effect::Define);
                if let Some(query) = view.query.as_deref() {
                    self.query(query)?;
                }
                if let Some(view) = &view.view {
                    self.define_new("view", view);
                }
                Told::changing("CREATE VIEW", SessionChange::Structure)
            }
            NodeEnum::RefreshMatViewStmt(refresh) => {
                self.facts.at_least(Effect::Write);
                self.refresh(refresh.relation.as_ref());
                Told::new("REFRESH MATERIALIZED VIEW")
            }
            _ => self.definition(node)?,
        })
    }

    fn create_table_as(&mut self, create: &CreateTableAsStmt) -> Result<Told, ReadError> {
        self.facts.at_least(Effect::Define);
        let into: Option<&IntoClause> = create.into.as_deref();
        let target = into.and_then(|into| into.rel.as_ref());
        let rows = match create.query.as_deref().and_then(|query| query.node.as_ref()) {
            Some(NodeEnum::ExecuteStmt(execute)) => {
                self.facts.at_least(Effect::Execute);
                self.facts.touched_unknown = true;
                self.facts.partial(format!("what the prepared statement {} does is not in this one", execute.name));
                Rows::unknown()
            }
            _ => match create.query.as_deref() {
                Some(query) => self.query(query)?,
                None => Rows::unknown(),
            },
        };
        self.stored(target, &rows);
        let view = create.objtype == pg_query::protobuf::ObjectType::ObjectMatview as i32;
        let kind = if view { "materialized view" } else { "table" };
        if let Some(target) = target {
            self.define_new(kind, target);
        }
        let action = if view { "CREATE MATERIALIZED VIEW" } else { "CREATE TABLE AS" };
        Ok(Told::changing(action, SessionChange::Structure))
    }

    /// A refresh does what the view's query does.
    fn refresh(&mut self, range: Option<&RangeVar>) {
        let Some(range) = range else { return };
        self.mark(range, Access::Write, &[]);
        let view = self.relation(range).zip(self.catalog);
        match view.and_then(|(relation, catalog)| catalog.view(relation.oid)) {
            Some(reading) => self.facts.absorb(&reading.facts),
            None => self.facts.partial("the query of the view could not be read"),
        }
    }

    pub(crate) fn define_new(&mut self, kind: &'static str, range: &RangeVar) {
        let name = self.new_relation_name(range);
        self.facts.resource(kind, &name, Access::Define);
    }

    pub(crate) fn mark_range(&mut self, range: Option<&RangeVar>, access: Access) {
        if let Some(range) = range {
            self.mark(range, access, &[]);
        }
    }

    pub(crate) fn mark_all(&mut self, nodes: &[Node], access: Access) {
        for node in nodes {
            match &node.node {
                Some(NodeEnum::RangeVar(range)) => self.mark_range(Some(range), access),
                Some(NodeEnum::VacuumRelation(vacuum)) => self.mark_range(vacuum.relation.as_ref(), access),
                _ => {}
            }
        }
    }
}

/// `SELECT … INTO … UNION …`: the INTO of a set operation is in its leftmost arm.
fn leftmost_into(select: &pg_query::protobuf::SelectStmt) -> Option<&IntoClause> {
    let mut select = select;
    while let Some(left) = select.larg.as_deref() {
        select = left;
    }
    select.into_clause.as_deref()
}

/// The output of rows.
pub(crate) fn output(rows: &Rows) -> Output {
    match &rows.open {
        None => Output::Columns(rows.columns.iter().map(|column| column.flow.lineage()).collect()),
        Some(_) => match rows.whole().columns() {
            Some(columns) => Output::Within(columns.share()),
            None => Output::Unknown,
        },
    }
}
