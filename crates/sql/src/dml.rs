//! INSERT, UPDATE, DELETE, MERGE.

use crate::ReadError;
use crate::flow::{Flow, Rows, column as column_flow};
use crate::from::alias;
use crate::names::{Configured, Item, Reader, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, BoolExprType, DeleteStmt, InsertStmt, MergeStmt, MergeWhenClause, Node, OnConflictClause, RangeVar,
    ResTarget, ReturningClause, UpdateStmt, WithClause,
};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

impl Reader<'_> {
    pub(crate) fn insert(&mut self, insert: &InsertStmt) -> Result<Rows, ReadError> {
        let Some(target) = &insert.relation else { return Ok(Rows::unknown()) };
        self.begin_change(insert.with_clause.as_ref())?;
        let mut columns: Vec<Arc<str>> = insert.cols.iter().filter_map(target_name).collect();
        let item = self.target_item(target);
        if columns.is_empty() {
            columns = item.rows.columns.iter().map(|column| Arc::clone(&column.name)).collect();
        }
        if columns.is_empty() {
            columns.push(Arc::from("*"));
        }
        let name = self.write(target, &columns);
        let mut assigned = Vec::new();
        if let Some(query) = insert.select_stmt.as_deref() {
            let known = self.relation(target).is_some();
            self.into = known.then(|| columns.iter().map(|column| column_flow(&name, column)).collect());
            let rows = self.query(query)?;
            self.into = None;
            assigned = inserted(&columns, rows);
        }
        if let Some(conflict) = insert.on_conflict_clause.as_deref() {
            // What the row would have been is what is being inserted.
            let mut excluded = item.clone();
            assign(&mut excluded, &assigned);
            self.show(vec![item.clone(), named(excluded, "excluded")]);
            assigned.extend(self.on_conflict(conflict, target, &name)?);
        }
        self.end_change(target, vec![item], insert.returning_clause.as_ref(), &assigned)
    }

    fn on_conflict(
        &mut self,
        conflict: &OnConflictClause,
        target: &RangeVar,
        name: &Arc<str>,
    ) -> Result<Assigned, ReadError> {
        if let Some(infer) = conflict.infer.as_deref() {
            for node in &infer.index_elems {
                if let Some(NodeEnum::IndexElem(element)) = &node.node {
                    self.one(element.expr.as_deref())?;
                }
            }
            self.one(infer.where_clause.as_deref())?;
        }
        let assigned = self.assignments(&conflict.target_list, target, name)?;
        self.one(conflict.where_clause.as_deref())?;
        Ok(assigned)
    }

    pub(crate) fn update(&mut self, update: &UpdateStmt) -> Result<Rows, ReadError> {
        let Some(target) = &update.relation else { return Ok(Rows::unknown()) };
        self.begin_change(update.with_clause.as_ref())?;
        let item = self.target_item(target);
        let name = self.write(target, &[]);
        self.show(vec![item]);
        self.read_from(&update.from_clause)?;
        let assigned = self.assignments(&update.target_list, target, &name)?;
        self.filter(update.where_clause.as_deref())?;
        let items = self.show(Vec::new());
        self.end_change(target, items, update.returning_clause.as_ref(), &assigned)
    }

    pub(crate) fn delete(&mut self, delete: &DeleteStmt) -> Result<Rows, ReadError> {
        let Some(target) = &delete.relation else { return Ok(Rows::unknown()) };
        self.begin_change(delete.with_clause.as_ref())?;
        let item = self.target_item(target);
        self.write(target, &[Arc::from("*")]);
        self.show(vec![item]);
        self.read_from(&delete.using_clause)?;
        self.filter(delete.where_clause.as_deref())?;
        let items = self.show(Vec::new());
        self.end_change(target, items, delete.returning_clause.as_ref(), &[])
    }

    pub(crate) fn merge(&mut self, merge: &MergeStmt) -> Result<Rows, ReadError> {
        let Some(target) = &merge.relation else { return Ok(Rows::unknown()) };
        self.begin_change(merge.with_clause.as_ref())?;
        let item = self.target_item(target);
        let name = self.write(target, &[]);
        let source = match merge.source_relation.as_deref() {
            Some(source) => self.read_item(source)?,
            None => Vec::new(),
        };
        self.show(source.into_iter().chain([item]).collect());
        self.one(merge.join_condition.as_deref())?;
        let mut assigned = Vec::new();
        for node in &merge.merge_when_clauses {
            if let Some(NodeEnum::MergeWhenClause(when)) = &node.node {
                assigned.extend(self.merge_when(when, target, &name)?);
            }
        }
        let items = self.show(Vec::new());
        self.end_change(target, items, merge.returning_clause.as_ref(), &assigned)
    }

    fn merge_when(
        &mut self,
        when: &MergeWhenClause,
        target: &RangeVar,
        name: &Arc<str>,
    ) -> Result<Assigned, ReadError> {
        self.one(when.condition.as_deref())?;
        if when.values.is_empty() {
            return self.assignments(&when.target_list, target, name);
        }
        let mut columns: Vec<Arc<str>> = when.target_list.iter().filter_map(target_name).collect();
        if columns.is_empty()
            && let Some(relation) = self.relation(target)
        {
            columns = relation.columns.iter().map(|column| Arc::clone(&column.name)).collect();
        }
        self.write(target, &columns);
        let mut assigned = Vec::new();
        for (at, value) in when.values.iter().enumerate() {
            let column = columns.get(at);
            let flow = self.written_value(value, column.map(|column| column_flow(name, column)).as_ref())?;
            assigned.extend(column.map(|column| (Arc::clone(column), flow)));
        }
        Ok(assigned)
    }

    fn begin_change(&mut self, with: Option<&WithClause>) -> Result<(), ReadError> {
        self.facts.at_least(Effect::Write);
        self.levels.push(Default::default());
        with.map_or(Ok(()), |with| self.with_clause(with))
    }

    /// RETURNING, with OLD and NEW in view.
    fn end_change(
        &mut self,
        target: &RangeVar,
        mut items: Vec<Item>,
        returning: Option<&ReturningClause>,
        assigned: &[(Arc<str>, Flow)],
    ) -> Result<Rows, ReadError> {
        let runs_code = self.relation(target).is_some_and(|relation| relation.runs_code);
        self.washed(target, assigned);
        let mut rows = Rows::default();
        if let Some(returning) = returning {
            let own = target.alias.as_ref().map_or(&target.relname, |alias| &alias.aliasname);
            let place = items.iter().position(|item| item.name.as_deref() == Some(own));
            let old = place.and_then(|at| items.get(at)).cloned().unwrap_or_default();
            // What is returned is what has just been written, wherever that came from.
            let mut table = old.clone();
            assign(&mut table, assigned);
            if let Some(item) = place.and_then(|at| items.get_mut(at)) {
                *item = table.clone();
            }
            let mut names = vec!["new"];
            for option in &returning.options {
                if let Some(NodeEnum::ReturningOption(option)) = &option.node {
                    names.push(&option.value);
                }
            }
            // An alias of the statement's own comes first.
            items.push(named(old, "old"));
            items.extend(names.into_iter().map(|name| named(table.clone(), name)));
            self.show(items);
            rows = self.targets(&returning.exprs, None)?;
        }
        self.levels.pop();
        if runs_code {
            let name = self.relation_name(target);
            self.facts.partial(format!("triggers or rules of {name} run code"));
        }
        Ok(rows)
    }

    /// Whether a column gets what another held. One's own value, changed, stays where it was; but where the table is read
    /// once more, or a view, a temporary relation of that name may stand in its place.
    fn washed(&mut self, target: &RangeVar, assigned: &[(Arc<str>, Flow)]) {
        let target_name = self.relation_name(target);
        let again = self.met.iter().filter(|(name, view)| *view || *name == target_name).count() > 1;
        let item = self.target_item(target);
        let own = |name: &Arc<str>| item.rows.columns.iter().find(|column| column.name == *name);
        let moved = assigned.iter().any(|(name, flow)| {
            let same =
                !again && own(name).is_some_and(|own| flow.columns().is_some() && own.flow.columns() == flow.columns());
            !flow.is_free() && !same
        });
        if moved && !is_temporary(target) {
            self.facts.traits.insert(traits::LAUNDERS);
        }
    }

    /// A new relation gets what these rows hold. A temporary one is nobody's but this session's, and masked as a whole.
    pub(crate) fn stored(&mut self, target: Option<&RangeVar>, rows: &Rows) {
        if target.is_some_and(|target| !is_temporary(target)) && !rows.whole().is_free() {
            self.facts.traits.insert(traits::LAUNDERS);
        }
    }

    /// The table that is changed, as it is in view.
    fn target_item(&mut self, target: &RangeVar) -> Item {
        let mut item = self.relation_item(target, false);
        item.name = Some(Arc::from(target.relname.as_str()));
        alias(&mut item, target.alias.as_ref());
        item
    }

    /// Records what is written; through a view, also the tables behind it. Returns the name of what is written.
    fn write(&mut self, target: &RangeVar, columns: &[Arc<str>]) -> Arc<str> {
        let name = self.mark(target, Access::Write, columns);
        let Some((relation, catalog)) = self.relation(target).zip(self.catalog) else { return name };
        if &*relation.name == "pg_settings" && &*relation.schema == "pg_catalog" {
            // A rule of the server's turns an update of this view into changes of settings.
            self.judge_setting(None);
            self.settings.push(Configured { name: None, value: None, local: true });
        }
        for (at, column) in relation.columns.iter().enumerate() {
            if let Flow::Column(behind) = catalog.column_flow(relation, at)
                && behind.relation != name
            {
                self.facts.resource("table", &behind.relation, Access::Write);
                if columns.iter().any(|c| **c == *column.name || &**c == "*") {
                    self.facts.column("table", &behind.relation, Access::Write, &behind.column);
                }
            }
        }
        name
    }

    fn assignments(&mut self, nodes: &[Node], target: &RangeVar, name: &Arc<str>) -> Result<Assigned, ReadError> {
        let mut assigned = Vec::new();
        let known = self.relation(target).is_some();
        for node in nodes {
            let Some(NodeEnum::ResTarget(assignment)) = &node.node else { continue };
            let assignment: &ResTarget = assignment;
            let column: Arc<str> = Arc::from(assignment.name.as_str());
            self.write(target, std::slice::from_ref(&column));
            for index in &assignment.indirection {
                self.expr(index)?;
            }
            let flow = known.then(|| column_flow(name, &column));
            if let Some(value) = assignment.val.as_deref() {
                let value = self.written_value(value, flow.as_ref())?;
                assigned.push((column, value));
            }
        }
        Ok(assigned)
    }

    /// The condition of an UPDATE or DELETE; none, or one that is always met, is a fact of its own.
    fn filter(&mut self, node: Option<&Node>) -> Result<(), ReadError> {
        let selects = match node {
            Some(node) => self.condition(node)?,
            None => false,
        };
        if !selects {
            self.facts.traits.insert(traits::NO_WHERE);
        }
        Ok(())
    }

    /// Reads a condition; says whether it can leave rows out.
    fn condition(&mut self, node: &Node) -> Result<bool, ReadError> {
        self.enter()?;
        let selects = match &node.node {
            Some(NodeEnum::BoolExpr(expr)) => {
                let arms = expr.args.iter().map(|arm| self.condition(arm)).collect::<Result<Vec<bool>, _>>()?;
                if expr.boolop == BoolExprType::OrExpr as i32 {
                    arms.iter().all(|arm| *arm)
                } else {
                    arms.iter().any(|arm| *arm)
                }
            }
            Some(NodeEnum::CurrentOfExpr(_)) => true,
            Some(NodeEnum::AExpr(expr)) if expr.kind == AExprKind::AexprOp as i32 => {
                let met = self.names_met;
                self.expr(node)?;
                self.names_met != met && !self.same_column(expr.lexpr.as_deref(), expr.rexpr.as_deref())
            }
            _ => {
                let met = self.names_met;
                self.expr(node)?;
                self.names_met != met
            }
        };
        self.leave();
        Ok(selects)
    }

    /// `id = id` leaves no row out.
    fn same_column(&self, left: Option<&Node>, right: Option<&Node>) -> bool {
        let (Some(NodeEnum::ColumnRef(left)), Some(NodeEnum::ColumnRef(right))) =
            (left.and_then(|node| node.node.as_ref()), right.and_then(|node| node.node.as_ref()))
        else {
            return false;
        };
        let (left, right) = (strings(&left.fields), strings(&right.fields));
        let alone = self.levels.last().is_some_and(|level| level.items.len() == 1);
        left == right || (alone && left.last() == right.last())
    }
}

/// Columns, and where what is written to them comes from.
type Assigned = Vec<(Arc<str>, Flow)>;

fn inserted(columns: &[Arc<str>], rows: Rows) -> Assigned {
    match &rows.open {
        Some(_) => columns.iter().map(|column| (Arc::clone(column), rows.whole())).collect(),
        None => columns.iter().cloned().zip(rows.columns.into_iter().map(|column| column.flow)).collect(),
    }
}

/// Lets the columns of an item come from what is written to them, too. A constant, or the column's own value changed,
/// makes it no other column.
fn assign(item: &mut Item, assigned: &[(Arc<str>, Flow)]) {
    for column in &mut item.rows.columns {
        let own = column.flow.columns();
        for (_, flow) in assigned.iter().filter(|(name, flow)| *name == column.name && !flow.is_free()) {
            if flow.columns().is_none() || flow.columns() != own {
                column.flow = column.flow.clone().and(flow.clone());
            }
        }
    }
}

/// The item under a name that does not let its columns be named alone.
fn named(item: Item, name: &str) -> Item {
    Item { name: Some(Arc::from(name)), schema: None, columns_visible: false, ..item }
}

/// Whether the statement itself says that it is a temporary relation.
fn is_temporary(range: &RangeVar) -> bool {
    range.relpersistence == "t" || range.schemaname == "pg_temp"
}

fn target_name(node: &Node) -> Option<Arc<str>> {
    match node.node.as_ref()? {
        NodeEnum::ResTarget(target) => Some(Arc::from(target.name.as_str())),
        _ => None,
    }
}
