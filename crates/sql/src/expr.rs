//! Expressions: where a value comes from, and what computing it can do.

use crate::ReadError;
use crate::flow::{Flow, Named, Rows};
use crate::names::{Reader, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AIndirection, CaseExpr, ColumnRef, Node, SubLink, SubLinkType, TypeName};

impl Reader<'_> {
    /// Where the value of an expression comes from.
    pub(crate) fn expr(&mut self, node: &Node) -> Result<Flow, ReadError> {
        let Some(node) = &node.node else { return Ok(Flow::FREE) };
        self.enter()?;
        let flow = self.node(node)?;
        self.leave();
        Ok(flow)
    }

    fn node(&mut self, node: &NodeEnum) -> Result<Flow, ReadError> {
        match node {
            NodeEnum::ColumnRef(name) => Ok(self.column_ref(name)),
            NodeEnum::AConst(constant) => {
                self.constants.push(constant.location);
                Ok(Flow::FREE)
            }
            NodeEnum::ParamRef(_) => Ok(self.parameters.clone().unwrap_or(Flow::FREE)),
            NodeEnum::AExpr(expr) => self.a_expr(expr),
            NodeEnum::BoolExpr(expr) => self.all(&expr.args),
            NodeEnum::FuncCall(call) => self.call(call),
            NodeEnum::TypeCast(cast) => {
                self.type_name(cast.type_name.as_ref());
                self.one(cast.arg.as_deref())
            }
            NodeEnum::SubLink(link) => self.sub_link(link),
            NodeEnum::CaseExpr(case) => self.case(case),
            NodeEnum::AIndirection(indirection) => self.indirection(indirection),
            _ => self.lesser_node(node),
        }
    }

    /// The kinds that are seldom met.
    fn lesser_node(&mut self, node: &NodeEnum) -> Result<Flow, ReadError> {
        match node {
            NodeEnum::NullTest(test) => self.one(test.arg.as_deref()),
            NodeEnum::BooleanTest(test) => self.one(test.arg.as_deref()),
            NodeEnum::CollateClause(clause) => {
                // The same text, but the server no longer says which column it is.
                clause.arg.as_deref().map_or(Ok(Flow::FREE), |arg| self.expr(arg)).map(Flow::derived)
            }
            NodeEnum::AArrayExpr(array) => self.all(&array.elements),
            NodeEnum::RowExpr(row) => self.row(&row.args),
            NodeEnum::CoalesceExpr(expr) => self.all(&expr.args),
            NodeEnum::MinMaxExpr(expr) => self.all(&expr.args),
            NodeEnum::List(list) => self.all(&list.items),
            NodeEnum::NamedArgExpr(arg) => self.one(arg.arg.as_deref()),
            NodeEnum::MultiAssignRef(multi) => self.one(multi.source.as_deref()),
            NodeEnum::ResTarget(target) => self.one(target.val.as_deref()),
            NodeEnum::SortBy(sort) => self.one(sort.node.as_deref()),
            NodeEnum::GroupingFunc(_)
            | NodeEnum::SqlvalueFunction(_)
            | NodeEnum::SetToDefault(_)
            | NodeEnum::CurrentOfExpr(_)
            | NodeEnum::MergeSupportFunc(_)
            | NodeEnum::Integer(_)
            | NodeEnum::Float(_)
            | NodeEnum::Boolean(_)
            | NodeEnum::String(_)
            | NodeEnum::BitString(_) => Ok(Flow::FREE),
            NodeEnum::AIndices(index) => {
                let lower = self.one(index.lidx.as_deref())?;
                Ok(lower.and(self.one(index.uidx.as_deref())?))
            }
            _ => self.document_node(node),
        }
    }

    /// A value computed from one other.
    pub(crate) fn one(&mut self, node: Option<&Node>) -> Result<Flow, ReadError> {
        node.map_or(Ok(Flow::FREE), |node| self.expr(node)).map(Flow::derived)
    }

    /// A value computed from all of these.
    pub(crate) fn all(&mut self, nodes: &[Node]) -> Result<Flow, ReadError> {
        nodes.iter().try_fold(Flow::FREE, |all, node| Ok(all.and(self.expr(node)?)))
    }

    fn row(&mut self, nodes: &[Node]) -> Result<Flow, ReadError> {
        let mut all = Flow::FREE;
        for node in nodes {
            let flow = match self.star(node) {
                Some(rows) => rows?.whole(),
                None => self.expr(node)?,
            };
            all = all.and(flow);
        }
        Ok(all)
    }

    pub(crate) fn column_ref(&mut self, name: &ColumnRef) -> Flow {
        self.names_met = self.names_met.saturating_add(1);
        if let Some(star) = self.star_of(name) {
            return star.whole();
        }
        match strings(&name.fields).as_slice() {
            [] => Flow::Unknown,
            [name] => self.bare_name(name),
            names => self.qualified_name(names),
        }
    }

    fn a_expr(&mut self, expr: &AExpr) -> Result<Flow, ReadError> {
        let mark = self.constants.len();
        let known = self.operator(&expr.name);
        let mut flow = self.one(expr.lexpr.as_deref())?;
        flow = flow.and(self.one(expr.rexpr.as_deref())?);
        self.associate(mark, &flow);
        Ok(if known { flow } else { Flow::Unknown })
    }

    fn case(&mut self, case: &CaseExpr) -> Result<Flow, ReadError> {
        let subject = self.one(case.arg.as_deref())?;
        let mut flow = subject.clone();
        for when in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = &when.node else { continue };
            let mark = self.constants.len();
            flow = flow.and(self.one(when.expr.as_deref())?);
            if case.arg.is_some() {
                self.associate(mark, &subject);
            }
            flow = flow.and(self.one(when.result.as_deref())?);
        }
        Ok(flow.and(self.one(case.defresult.as_deref())?))
    }

    fn sub_link(&mut self, link: &SubLink) -> Result<Flow, ReadError> {
        let kind = SubLinkType::try_from(link.sub_link_type).unwrap_or(SubLinkType::Undefined);
        let mark = self.constants.len();
        let test = self.one(link.testexpr.as_deref())?;
        let tested = mark..self.constants.len();
        let known = self.operator(&link.oper_name);
        let touched = std::mem::take(&mut self.facts.touched);
        let unknown = std::mem::take(&mut self.facts.touched_unknown);
        let rows = match link.subselect.as_deref() {
            Some(query) => self.query(query)?,
            None => Rows::unknown(),
        };
        let inside = self.facts.touched_flow();
        self.facts.touched.merge(&touched);
        self.facts.touched_unknown |= unknown;
        let whole = rows.whole();
        let meets = test.clone().and(whole.clone());
        for location in self.constants.get(tested).unwrap_or_default() {
            self.literals.meets(*location, &meets);
        }
        // Whether there is a row, or how many, is itself what the conditions say of the columns they name.
        let decided = !matches!(kind, SubLinkType::ExprSublink | SubLinkType::ArraySublink) || whole.is_free();
        let value = if decided { whole.and(inside) } else { whole };
        Ok(if known { value.and(test) } else { Flow::Unknown })
    }

    /// `(row).field`, `array[1]`, `(row).*` as one value.
    fn indirection(&mut self, indirection: &AIndirection) -> Result<Flow, ReadError> {
        let fields = strings(&indirection.indirection);
        if let (Some(arg), Some(first)) = (indirection.arg.as_deref(), fields.first())
            && let Some(rows) = self.row_of(arg)
            && let Some(column) = rows.columns.iter().find(|column| *column.name == **first)
            && fields.len() == indirection.indirection.len()
        {
            let flow = column.flow.clone().derived();
            self.facts.touch(&flow);
            return Ok(fields.iter().skip(1).fold(flow, |flow, name| self.call_by_attribute(name, flow)));
        }
        let mut flow = self.one(indirection.arg.as_deref())?;
        for node in &indirection.indirection {
            flow = match &node.node {
                Some(NodeEnum::String(name)) => self.call_by_attribute(&name.sval, flow),
                Some(NodeEnum::AStar(_)) => flow,
                _ => flow.and(self.expr(node)?),
            };
        }
        Ok(flow)
    }

    /// The columns of a value that is a whole row of an item in view.
    fn row_of(&mut self, node: &Node) -> Option<Rows> {
        let Some(NodeEnum::ColumnRef(name)) = &node.node else { return None };
        let names = strings(&name.fields);
        let [name] = names.as_slice() else { return None };
        if self.has_column(name) {
            return None;
        }
        self.item_named(name).map(|item| item.rows.clone())
    }

    /// The columns that a `*` stands for, if the expression is one.
    pub(crate) fn star(&mut self, node: &Node) -> Option<Result<Rows, ReadError>> {
        match &node.node {
            Some(NodeEnum::ColumnRef(name)) => self.star_of(name).map(Ok),
            Some(NodeEnum::AIndirection(indirection)) => {
                let last = indirection.indirection.last()?;
                matches!(last.node, Some(NodeEnum::AStar(_))).then(|| self.indirection_star(indirection))
            }
            _ => None,
        }
    }

    fn indirection_star(&mut self, indirection: &AIndirection) -> Result<Rows, ReadError> {
        if let (Some(arg), 1) = (indirection.arg.as_deref(), indirection.indirection.len()) {
            if let Some(mut rows) = self.row_of(arg) {
                self.use_rows(&rows);
                rows.columns.iter_mut().for_each(|column| column.flow = column.flow.clone().derived());
                return Ok(rows);
            }
            if let Some(NodeEnum::FuncCall(call)) = &arg.node {
                let flow = self.expr(arg)?.derived();
                let name = strings(&call.funcname).last().copied().unwrap_or_default().to_owned();
                let columns = crate::functions::columns(&name).filter(|_| flow != Flow::Unknown);
                let columns = columns.unwrap_or_default().iter().map(|name| Named::new(*name, flow.clone()));
                let columns: Vec<Named> = columns.collect();
                let open = columns.is_empty().then_some(flow);
                return Ok(Rows { columns, open });
            }
        }
        let flow = self.indirection(indirection)?;
        Ok(Rows { columns: Vec::new(), open: Some(flow) })
    }

    fn star_of(&mut self, name: &ColumnRef) -> Option<Rows> {
        if !matches!(name.fields.last()?.node, Some(NodeEnum::AStar(_))) {
            return None;
        }
        let names = strings(&name.fields);
        let mut rows = Rows::default();
        if let Some(table) = names.last() {
            let schema = names.iter().rev().nth(1).copied();
            let levels = self.levels.iter().rev().flat_map(|level| level.items.iter());
            let item = levels.into_iter().find(|item| {
                item.name.as_deref() == Some(*table) && (schema.is_none() || item.schema.as_deref() == schema)
            });
            rows = item.map_or_else(Rows::unknown, |item| item.rows.clone());
        } else if let Some(level) = self.levels.last() {
            for item in level.items.iter().filter(|item| item.columns_visible) {
                rows.columns.extend(item.rows.columns.iter().cloned());
                if let Some(open) = &item.rows.open {
                    Flow::gather(&mut rows.open, open);
                }
            }
        }
        self.use_rows(&rows);
        Some(rows)
    }

    /// A cast runs the type's input function, or a cast that somebody defined.
    pub(crate) fn type_name(&mut self, name: Option<&TypeName>) {
        let Some(name) = name else { return };
        name.typmods.iter().for_each(|node| self.harmless(node));
    }

    /// An operator runs a function: the server's own, unless somebody defined one. Says whether it is known.
    pub(crate) fn operator(&mut self, names: &[Node]) -> bool {
        let names = strings(names);
        let Some(operator) = names.last() else { return true };
        let own = self.catalog.is_some_and(|catalog| catalog.is_own_operator(operator));
        let known = match names.as_slice() {
            ["pg_catalog", _] => true,
            [_] => !own,
            _ => false,
        };
        if !known {
            self.unknown_function(&format!("operator {}", names.join(".")));
        }
        known
    }
}
