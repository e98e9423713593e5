//! FROM: what it brings into view.

use crate::flow::{Flow, Named, Rows};
use crate::functions;
use crate::names::{Item, Reader, shared, strings};
use crate::{ReadError, colname};
use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, ColumnDef, JoinExpr, JoinType, Node, RangeFunction, RangeSubselect, RangeVar};
use std::sync::Arc;

/// The most columns a join may have before it is not read.
const MAX_COLUMNS: usize = 8_192;

impl Reader<'_> {
    /// Reads a FROM list; every item sees those before it only where it is lateral.
    pub(crate) fn read_from(&mut self, nodes: &[Node]) -> Result<(), ReadError> {
        for node in nodes {
            let items = self.read_item(node)?;
            if let Some(level) = self.levels.last_mut() {
                level.items.extend(items);
            }
        }
        Ok(())
    }

    pub(crate) fn read_item(&mut self, node: &Node) -> Result<Vec<Item>, ReadError> {
        self.enter()?;
        let items = match &node.node {
            Some(NodeEnum::RangeVar(range)) => vec![self.range_var(range)],
            Some(NodeEnum::RangeSubselect(sub)) => vec![self.range_subselect(sub)?],
            Some(NodeEnum::JoinExpr(join)) => self.join(join)?,
            Some(NodeEnum::RangeFunction(function)) => vec![self.range_function(function)?],
            Some(NodeEnum::RangeTableSample(sample)) => {
                for arg in sample.args.iter().chain(sample.repeatable.as_deref()) {
                    self.expr(arg)?;
                }
                match sample.relation.as_deref() {
                    Some(relation) => self.read_item(relation)?,
                    None => Vec::new(),
                }
            }
            Some(NodeEnum::RangeTableFunc(table)) => vec![self.xml_table(table)?],
            Some(NodeEnum::JsonTable(table)) => vec![self.json_table(table)?],
            _ => {
                self.facts.partial("a FROM item of a kind that is not known");
                vec![Item { rows: Rows::unknown(), columns_visible: true, ..Item::default() }]
            }
        };
        self.leave();
        Ok(items)
    }

    /// A table, view or common table expression.
    pub(crate) fn range_var(&mut self, range: &RangeVar) -> Item {
        let cte = if range.schemaname.is_empty() { self.cte(&range.relname) } else { None };
        let mut item = match cte {
            Some(cte) => Item { rows: cte.rows.clone(), columns_visible: true, ..Item::default() },
            None => self.relation_item(range, true),
        };
        item.name = Some(Arc::from(range.relname.as_str()));
        alias(&mut item, range.alias.as_ref());
        item
    }

    fn range_subselect(&mut self, sub: &RangeSubselect) -> Result<Item, ReadError> {
        // Without LATERAL it sees only the levels outside.
        let hidden = if sub.lateral { None } else { Some(self.show(Vec::new())) };
        let rows = match sub.subquery.as_deref() {
            Some(query) => self.query(query)?,
            None => Rows::unknown(),
        };
        if let Some(hidden) = hidden {
            self.show(hidden);
        }
        let mut item = Item { rows, columns_visible: true, ..Item::default() };
        alias(&mut item, sub.alias.as_ref());
        Ok(item)
    }

    fn join(&mut self, join: &JoinExpr) -> Result<Vec<Item>, ReadError> {
        let left = self.side(join.larg.as_deref())?;
        let before = self.levels.last().map_or(0, |level| level.items.len());
        if let Some(level) = self.levels.last_mut() {
            level.items.extend(left.iter().cloned());
        }
        let right = self.side(join.rarg.as_deref())?;
        if let Some(level) = self.levels.last_mut() {
            level.items.truncate(before);
        }
        let (left_rows, right_rows) = (visible_rows(&left), visible_rows(&right));
        let shared_names =
            if join.is_natural { common_names(&left_rows, &right_rows) } else { shared(&join.using_clause) };
        self.use_merged(&shared_names, [&left_rows, &right_rows]);
        let mut items: Vec<Item> = left.into_iter().chain(right).collect();
        if let Some(condition) = join.quals.as_deref() {
            // A condition sees the two sides, and not what stands beside the join.
            let outside = self.show(items.clone());
            self.expr(condition)?;
            self.show(outside);
        }
        let open_natural = join.is_natural && (left_rows.open.is_some() || right_rows.open.is_some());
        let mut rows = merged_rows(left_rows, right_rows, &shared_names, join.jointype);
        if open_natural {
            // Which columns are shared is not known, so neither is the order of the rest.
            rows = Rows { open: Some(rows.whole()), ..rows };
        }
        if rows.columns.len() > MAX_COLUMNS {
            return Err(ReadError::TooComplex);
        }
        items.iter_mut().for_each(|item| item.columns_visible = false);
        if let Some(using) = &join.join_using_alias {
            let columns = rows.columns.iter().take(shared_names.len()).cloned().collect();
            let name = Some(Arc::from(using.aliasname.as_str()));
            items.push(Item { name, rows: Rows { columns, open: None }, ..Item::default() });
        }
        let mut whole = Item { rows, columns_visible: true, ..Item::default() };
        if join.alias.is_some() {
            // Its name hides those inside.
            alias(&mut whole, join.alias.as_ref());
            return Ok(vec![whole]);
        }
        items.push(whole);
        Ok(items)
    }

    fn side(&mut self, node: Option<&Node>) -> Result<Vec<Item>, ReadError> {
        node.map_or(Ok(Vec::new()), |node| self.read_item(node))
    }

    /// The columns of USING and NATURAL decide which rows meet.
    fn use_merged(&mut self, names: &[Arc<str>], sides: [&Rows; 2]) {
        for column in sides.into_iter().flat_map(|rows| rows.columns.iter()) {
            if names.contains(&column.name) {
                self.facts.touch(&column.flow);
            }
        }
    }

    fn range_function(&mut self, function: &RangeFunction) -> Result<Item, ReadError> {
        let mut rows = Rows::default();
        let single = function.functions.len() == 1;
        for node in &function.functions {
            // Each is a list of the call and the definitions of its columns.
            let Some(NodeEnum::List(list)) = &node.node else { continue };
            let Some(call) = list.items.first() else { continue };
            let flow = self.expr(call)?.derived();
            let own = list.items.get(1).map(definitions).unwrap_or_default();
            let outer: Vec<Arc<str>> = function.coldeflist.iter().filter_map(definition).collect();
            let definitions = if own.is_empty() { outer } else { own };
            let name = function.alias.as_ref().filter(|_| single).map(|alias| alias.aliasname.as_str());
            let part = function_rows(call, &flow, &definitions, name);
            rows.columns.extend(part.columns);
            if let Some(open) = part.open {
                Flow::gather(&mut rows.open, &open);
            }
        }
        if function.ordinality {
            rows.columns.push(Named::new("ordinality", Flow::FREE));
        }
        let mut item = Item { rows, columns_visible: true, ..Item::default() };
        if item.rows.open.is_some() && function.ordinality {
            // Where the number stands among columns that are not known is not known either.
            item.rows.columns.clear();
            item.rows.columns.push(Named::new("ordinality", item.rows.whole()));
        }
        item.name = function.functions.first().and_then(function_name).map(Arc::from);
        alias(&mut item, function.alias.as_ref());
        Ok(item)
    }
}

fn function_name(node: &Node) -> Option<&str> {
    let Some(NodeEnum::List(list)) = &node.node else { return None };
    match list.items.first()?.node.as_ref()? {
        NodeEnum::FuncCall(call) => strings(&call.funcname).last().copied(),
        _ => None,
    }
}

/// The rows of a function in FROM. `alias` names the column of a function that returns plain values.
fn function_rows(call: &Node, flow: &Flow, definitions: &[Arc<str>], alias: Option<&str>) -> Rows {
    if !definitions.is_empty() {
        let columns = definitions.iter().map(|name| Named::new(Arc::clone(name), flow.clone())).collect();
        return Rows { columns, open: None };
    }
    let (name, builtin) = match &call.node {
        Some(NodeEnum::FuncCall(call)) => {
            let names = strings(&call.funcname);
            let name = names.last().copied().unwrap_or_default().to_owned();
            let builtin = functions::builtin(&name).is_some() && *flow != Flow::Unknown;
            (name, builtin)
        }
        _ => (colname::of(call).name.to_string(), true),
    };
    if let Some(columns) = functions::columns(&name).filter(|_| builtin) {
        let columns = columns.iter().map(|name| Named::new(*name, flow.clone())).collect();
        return Rows { columns, open: None };
    }
    let open = !builtin || functions::is_open(&name);
    let column = alias.unwrap_or(&name);
    if open {
        return Rows { columns: Vec::new(), open: Some(flow.clone()) };
    }
    Rows { columns: vec![Named::new(column, flow.clone())], open: None }
}

fn definitions(node: &Node) -> Vec<Arc<str>> {
    match &node.node {
        Some(NodeEnum::List(list)) => list.items.iter().filter_map(definition).collect(),
        _ => Vec::new(),
    }
}

fn definition(node: &Node) -> Option<Arc<str>> {
    match node.node.as_ref()? {
        NodeEnum::ColumnDef(definition) => {
            let definition: &ColumnDef = definition;
            Some(Arc::from(definition.colname.as_str()))
        }
        _ => None,
    }
}

/// Gives an item its alias, which hides its own name and schema.
pub(crate) fn alias(item: &mut Item, alias: Option<&Alias>) {
    let Some(alias) = alias else { return };
    item.name = Some(Arc::from(alias.aliasname.as_str()));
    item.schema = None;
    item.rows.rename(&shared(&alias.colnames));
}

fn visible_rows(items: &[Item]) -> Rows {
    let mut rows = Rows::default();
    for item in items.iter().filter(|item| item.columns_visible) {
        rows.columns.extend(item.rows.columns.iter().cloned());
        if let Some(open) = &item.rows.open {
            Flow::gather(&mut rows.open, open);
        }
    }
    rows
}

fn common_names(left: &Rows, right: &Rows) -> Vec<Arc<str>> {
    let names = left.columns.iter().map(|column| &column.name);
    names.filter(|name| right.columns.iter().any(|column| column.name == **name)).cloned().collect()
}

/// The columns of a join: the shared ones first, once, then the rest of both sides.
fn merged_rows(left: Rows, right: Rows, names: &[Arc<str>], kind: i32) -> Rows {
    let kind = JoinType::try_from(kind).unwrap_or(JoinType::JoinFull);
    let of = |rows: &Rows, name: &Arc<str>| {
        let column = rows.columns.iter().find(|column| column.name == *name).cloned();
        column.or_else(|| rows.open.clone().map(|open| Named::new(Arc::clone(name), open)))
    };
    let mut columns = Vec::new();
    for name in names {
        let merged = match (of(&left, name), of(&right, name), kind) {
            (Some(left), Some(_), JoinType::JoinInner | JoinType::JoinLeft) => left,
            (Some(_), Some(right), JoinType::JoinRight) => right,
            (Some(left), Some(right), _) => Named::new(Arc::clone(name), left.flow.and(right.flow)),
            (one, other, _) => one.or(other).unwrap_or_else(|| Named::new(Arc::clone(name), Flow::Unknown)),
        };
        columns.push(merged);
    }
    let rest = left.columns.into_iter().chain(right.columns).filter(|column| !names.contains(&column.name));
    columns.extend(rest);
    let open = match (left.open, right.open) {
        (Some(left), Some(right)) => Some(left.and(right)),
        (one, other) => one.or(other),
    };
    Rows { columns, open }
}
