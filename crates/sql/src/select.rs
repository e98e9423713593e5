//! Queries: SELECT, VALUES, TABLE, set operations and WITH.

use crate::flow::{Flow, Named, Rows};
use crate::names::{Item, Reader, shared};
use crate::{ReadError, colname};
use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, Node, ResTarget, SelectStmt, SetOperation, WindowDef, WithClause};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

/// How often a recursive query is gone through until nothing new flows.
const MAX_ROUNDS: usize = 64;

/// More columns than PostgreSQL allows in a result.
const MAX_COLUMNS: usize = 1_664;

impl Reader<'_> {
    /// Any statement that returns rows: a query, or a change with RETURNING.
    pub(crate) fn query(&mut self, node: &Node) -> Result<Rows, ReadError> {
        self.enter()?;
        let rows = match &node.node {
            Some(NodeEnum::SelectStmt(select)) => self.select(select)?,
            Some(NodeEnum::InsertStmt(insert)) => self.insert(insert)?,
            Some(NodeEnum::UpdateStmt(update)) => self.update(update)?,
            Some(NodeEnum::DeleteStmt(delete)) => self.delete(delete)?,
            Some(NodeEnum::MergeStmt(merge)) => self.merge(merge)?,
            _ => {
                self.facts.partial("a query of a kind that is not known");
                Rows::unknown()
            }
        };
        self.leave();
        Ok(rows)
    }

    pub(crate) fn select(&mut self, select: &SelectStmt) -> Result<Rows, ReadError> {
        self.enter()?;
        self.facts.at_least(Effect::Read);
        self.levels.push(Default::default());
        let into = self.into.take();
        if let Some(with) = &select.with_clause {
            self.with_clause(with)?;
        }
        let rows = if select.op > SetOperation::SetopNone as i32 {
            self.set_operation(select, into)?
        } else if select.values_lists.is_empty() {
            self.plain_select(select, into.as_deref())?
        } else {
            self.values(select, into.as_deref())?
        };
        for limit in [&select.limit_count, &select.limit_offset].into_iter().flatten() {
            self.harmless(limit);
            self.expr(limit)?;
        }
        if !select.locking_clause.is_empty() {
            self.facts.traits.insert(traits::LOCK);
        }
        if let Some(target) = select.into_clause.as_deref().and_then(|into| into.rel.as_ref()) {
            let name = self.new_relation_name(target);
            self.facts.resource("table", &name, Access::Define);
            self.facts.at_least(Effect::Define);
        }
        self.levels.pop();
        self.leave();
        Ok(rows)
    }

    fn plain_select(&mut self, select: &SelectStmt, into: Option<&[Flow]>) -> Result<Rows, ReadError> {
        let outside = self.setting.take();
        self.read_from(&select.from_clause)?;
        if let Some(condition) = select.where_clause.as_deref() {
            self.expr(condition)?;
        }
        for window in &select.window_clause {
            if let Some(NodeEnum::WindowDef(window)) = &window.node {
                let flow = self.window(window)?;
                if let Some(level) = self.levels.last_mut() {
                    level.windows.push((window.name.clone(), flow));
                }
            }
        }
        self.setting = self.setting_in_view(select);
        let rows = self.targets(&select.target_list, into)?;
        self.setting = None;
        if let Some(having) = select.having_clause.as_deref() {
            self.expr(having)?;
        }
        // GROUP BY prefers a column to an output of the same name; the others prefer the output.
        select.group_clause.iter().try_for_each(|node| self.ordering(node, &Rows::default()))?;
        select.sort_clause.iter().chain(&select.distinct_clause).try_for_each(|node| self.ordering(node, &rows))?;
        self.setting = outside;
        Ok(rows)
    }

    /// An item of ORDER BY, GROUP BY or DISTINCT ON: an output's name or number, or an expression.
    fn ordering(&mut self, node: &Node, rows: &Rows) -> Result<(), ReadError> {
        match &node.node {
            Some(NodeEnum::SortBy(sort)) => {
                self.operator(&sort.use_op);
                sort.node.as_deref().map_or(Ok(()), |node| self.ordering(node, rows))
            }
            Some(NodeEnum::AConst(_)) => {
                self.harmless(node);
                Ok(())
            }
            Some(NodeEnum::GroupingSet(set)) => set.content.iter().try_for_each(|node| self.ordering(node, rows)),
            Some(NodeEnum::ColumnRef(name)) if is_output(name, rows) => Ok(()),
            // DISTINCT without ON is a list with an empty node.
            None => Ok(()),
            _ => self.expr(node).map(|_| ()),
        }
    }

    fn values(&mut self, select: &SelectStmt, into: Option<&[Flow]>) -> Result<Rows, ReadError> {
        let mut rows: Option<Rows> = None;
        for list in &select.values_lists {
            let Some(NodeEnum::List(list)) = &list.node else { continue };
            let mut columns = Vec::with_capacity(list.items.len());
            for (at, value) in list.items.iter().enumerate() {
                let flow = self.written_value(value, into.and_then(|into| into.get(at)))?;
                columns.push(Named::new(format!("column{}", at + 1), flow));
            }
            let row = Rows { columns, open: None };
            rows = Some(match rows {
                Some(before) => before.or(row),
                None => row,
            });
        }
        let rows = rows.unwrap_or_default();
        select.sort_clause.iter().try_for_each(|node| self.ordering(node, &rows))?;
        Ok(rows)
    }

    /// A value that is written to a column: its constants belong to it.
    pub(crate) fn written_value(&mut self, value: &Node, target: Option<&Flow>) -> Result<Flow, ReadError> {
        let mark = self.constants.len();
        let flow = self.expr(value)?;
        if let Some(target) = target {
            self.associate(mark, target);
        }
        Ok(flow)
    }

    /// The constants seen since `mark` meet this.
    pub(crate) fn associate(&mut self, mark: usize, flow: &Flow) {
        for location in self.constants.iter().skip(mark) {
            self.literals.meets(*location, flow);
        }
    }

    fn set_operation(&mut self, select: &SelectStmt, into: Option<Vec<Flow>>) -> Result<Rows, ReadError> {
        self.into.clone_from(&into);
        let left = select.larg.as_deref().map_or(Ok(Rows::unknown()), |left| self.select(left))?;
        self.into = into;
        let right = select.rarg.as_deref().map_or(Ok(Rows::unknown()), |right| self.select(right))?;
        self.into = None;
        let rows = left.or(right);
        self.show(vec![Item { rows: rows.clone(), columns_visible: true, ..Item::default() }]);
        select.sort_clause.iter().try_for_each(|node| self.ordering(node, &rows))?;
        Ok(rows)
    }

    /// The columns that a select list, or RETURNING, gives.
    pub(crate) fn targets(&mut self, nodes: &[Node], into: Option<&[Flow]>) -> Result<Rows, ReadError> {
        let mut rows = Rows::default();
        for node in nodes {
            let Some(NodeEnum::ResTarget(target)) = &node.node else { continue };
            let at = rows.columns.len();
            let target_column = into.and_then(|into| into.get(at));
            match target.val.as_deref().and_then(|value| self.star(value)) {
                Some(star) => {
                    let star = star?;
                    rows.columns.extend(star.columns);
                    if let Some(open) = star.open {
                        Flow::gather(&mut rows.open, &open);
                    }
                }
                None => self.target(target, target_column, &mut rows)?,
            }
            if rows.columns.len() > MAX_COLUMNS {
                return Err(ReadError::TooComplex);
            }
        }
        Ok(rows)
    }

    fn target(&mut self, target: &ResTarget, into: Option<&Flow>, rows: &mut Rows) -> Result<(), ReadError> {
        let Some(value) = target.val.as_deref() else { return Ok(()) };
        let flow = self.written_value(value, into)?;
        let named = colname::of(value);
        let name: Arc<str> = if target.name.is_empty() { named.name } else { Arc::from(target.name.as_str()) };
        if target.name.is_empty() && !named.certain {
            // Under another name it must not be taken for a column of an outer level.
            let open = rows.open.take();
            rows.open = Some(open.map_or_else(|| flow.clone(), |open| open.and(flow.clone())));
        }
        rows.columns.push(Named::new(name, flow));
        Ok(())
    }

    /// Reads a window. What its rows are ordered by comes out: `rank() OVER (ORDER BY ssn)` tells whose is higher.
    pub(crate) fn window(&mut self, window: &WindowDef) -> Result<Flow, ReadError> {
        let offsets = [&window.start_offset, &window.end_offset];
        for offset in offsets.into_iter().flatten() {
            self.harmless(offset);
            self.expr(offset)?;
        }
        window.partition_clause.iter().try_for_each(|node| self.ordering(node, &Rows::default()))?;
        let named = self.levels.last().into_iter().flat_map(|level| &level.windows);
        let named = named.filter(|(name, _)| *name == window.name || *name == window.refname);
        let mut flow = named.fold(Flow::FREE, |all, (_, flow)| all.and(flow.clone()));
        for node in &window.order_clause {
            let Some(NodeEnum::SortBy(sort)) = &node.node else { continue };
            self.operator(&sort.use_op);
            if let Some(key) = sort.node.as_deref() {
                self.harmless(key);
                flow = flow.and(self.expr(key)?);
            }
        }
        Ok(flow)
    }

    pub(crate) fn with_clause(&mut self, with: &WithClause) -> Result<(), ReadError> {
        let ctes = with.ctes.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::CommonTableExpr(cte)) => Some(cte.as_ref()),
            _ => None,
        });
        let ctes: Vec<&CommonTableExpr> = ctes.collect();
        if with.recursive {
            // Each may name any other; one that is named before it is read is not known.
            for cte in &ctes {
                self.add_cte(&Arc::from(cte.ctename.as_str()), Rows::unknown());
            }
        }
        for cte in ctes {
            let name: Arc<str> = Arc::from(cte.ctename.as_str());
            let rows = if with.recursive { self.recursive(cte, &name)? } else { self.cte_rows(cte)? };
            if with.recursive {
                self.replace_cte(&name, rows);
            } else {
                self.add_cte(&name, rows);
            }
        }
        Ok(())
    }

    fn cte_rows(&mut self, cte: &CommonTableExpr) -> Result<Rows, ReadError> {
        let mut rows = match cte.ctequery.as_deref() {
            Some(query) => {
                let changes = !matches!(query.node, Some(NodeEnum::SelectStmt(_)));
                if changes {
                    self.facts.traits.insert(traits::HIDDEN_WRITE);
                }
                self.query(query)?
            }
            None => Rows::unknown(),
        };
        rows.rename(&shared(&cte.aliascolnames));
        Ok(rows)
    }

    /// A query that may name itself: gone through until what flows no longer grows.
    fn recursive(&mut self, cte: &CommonTableExpr, name: &Arc<str>) -> Result<Rows, ReadError> {
        let query = match cte.ctequery.as_deref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => select,
            _ => return self.cte_rows(cte),
        };
        let (Some(first), Some(_)) = (query.larg.as_deref(), query.rarg.as_deref()) else {
            return self.cte_rows(cte);
        };
        self.levels.push(Default::default());
        if let Some(with) = &query.with_clause {
            self.with_clause(with)?;
        }
        let mut rows = self.select(first)?;
        self.levels.pop();
        rows.rename(&shared(&cte.aliascolnames));
        self.search_columns(cte, &mut rows);
        for _ in 0..MAX_ROUNDS {
            self.replace_cte(name, rows.clone());
            let mut next = self.cte_rows(cte)?;
            self.search_columns(cte, &mut next);
            let next = Rows { columns: rows.columns.clone(), open: rows.open.clone() }.or(next);
            if same(&next, &rows) {
                return Ok(rows);
            }
            rows = next;
        }
        Ok(Rows::unknown())
    }

    /// The columns that SEARCH and CYCLE add.
    fn search_columns(&mut self, cte: &CommonTableExpr, rows: &mut Rows) {
        let whole = rows.whole();
        if let Some(search) = &cte.search_clause {
            rows.columns.push(Named::new(search.search_seq_column.as_str(), whole.clone()));
        }
        if let Some(cycle) = &cte.cycle_clause {
            rows.columns.push(Named::new(cycle.cycle_mark_column.as_str(), whole.clone()));
            rows.columns.push(Named::new(cycle.cycle_path_column.as_str(), whole));
        }
    }

    fn replace_cte(&mut self, name: &Arc<str>, rows: Rows) {
        let ctes = self.levels.last_mut().map(|level| &mut level.ctes);
        if let Some(cte) = ctes.and_then(|ctes| ctes.iter_mut().find(|cte| cte.name == *name)) {
            cte.rows = rows;
        }
    }

    /// Marks the constants right here as no data.
    pub(crate) fn harmless(&mut self, node: &Node) {
        match &node.node {
            Some(NodeEnum::AConst(constant)) => self.literals.harmless(constant.location),
            Some(NodeEnum::TypeCast(cast)) => {
                if let Some(arg) = cast.arg.as_deref() {
                    self.harmless(arg);
                }
            }
            _ => {}
        }
    }
}

fn same(one: &Rows, other: &Rows) -> bool {
    one.open == other.open
        && one.columns.len() == other.columns.len()
        && one.columns.iter().zip(&other.columns).all(|(a, b)| a.flow == b.flow)
}

fn is_output(name: &pg_query::protobuf::ColumnRef, rows: &Rows) -> bool {
    match crate::names::strings(&name.fields).as_slice() {
        [name] => rows.columns.iter().any(|column| *column.name == **name),
        _ => false,
    }
}
