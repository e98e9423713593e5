//! JSON and XML: constructors, queries, and the tables made of documents.

use crate::ReadError;
use crate::flow::{Flow, Named, Rows};
use crate::from::alias;
use crate::names::Item;
use crate::names::Reader;
use pg_query::NodeEnum;
use pg_query::protobuf::{
    JsonAggConstructor, JsonBehavior, JsonFuncExpr, JsonKeyValue, JsonTable, JsonTableColumn, JsonValueExpr, Node,
    RangeTableFunc,
};

impl Reader<'_> {
    pub(crate) fn document_node(&mut self, node: &NodeEnum) -> Result<Flow, ReadError> {
        match node {
            NodeEnum::XmlExpr(xml) => {
                let named = self.all(&xml.named_args)?;
                Ok(named.and(self.all(&xml.args)?))
            }
            NodeEnum::XmlSerialize(xml) => self.one(xml.expr.as_deref()),
            NodeEnum::JsonValueExpr(value) => self.json_value(Some(value)),
            NodeEnum::JsonKeyValue(pair) => self.json_pair(Some(pair)),
            NodeEnum::JsonObjectConstructor(object) => self.all(&object.exprs),
            NodeEnum::JsonArrayConstructor(array) => self.all(&array.exprs),
            NodeEnum::JsonArrayQueryConstructor(array) => match array.query.as_deref() {
                Some(query) => self.query(query).map(|rows| rows.whole()),
                None => Ok(Flow::FREE),
            },
            NodeEnum::JsonObjectAgg(object) => {
                let pair = self.json_pair(object.arg.as_deref())?;
                Ok(pair.and(self.json_aggregate(object.constructor.as_deref())?))
            }
            NodeEnum::JsonArrayAgg(array) => {
                let value = self.json_value(array.arg.as_deref())?;
                Ok(value.and(self.json_aggregate(array.constructor.as_deref())?))
            }
            NodeEnum::JsonParseExpr(json) => self.json_value(json.expr.as_deref()),
            NodeEnum::JsonScalarExpr(json) => self.one(json.expr.as_deref()),
            NodeEnum::JsonSerializeExpr(json) => self.json_value(json.expr.as_deref()),
            NodeEnum::JsonIsPredicate(json) => self.one(json.expr.as_deref()),
            NodeEnum::JsonFuncExpr(json) => self.json_function(json),
            NodeEnum::JsonArgument(arg) => self.json_value(arg.val.as_deref()),
            NodeEnum::JsonBehavior(behavior) => self.json_behavior(Some(behavior)),
            _ => {
                self.facts.partial("an expression of a kind that is not known");
                self.facts.touched_unknown = true;
                Ok(Flow::Unknown)
            }
        }
    }

    fn json_value(&mut self, value: Option<&JsonValueExpr>) -> Result<Flow, ReadError> {
        let Some(value) = value else { return Ok(Flow::FREE) };
        let raw = self.one(value.raw_expr.as_deref())?;
        Ok(raw.and(self.one(value.formatted_expr.as_deref())?))
    }

    fn json_pair(&mut self, pair: Option<&JsonKeyValue>) -> Result<Flow, ReadError> {
        let Some(pair) = pair else { return Ok(Flow::FREE) };
        let key = self.one(pair.key.as_deref())?;
        Ok(key.and(self.json_value(pair.value.as_deref())?))
    }

    fn json_aggregate(&mut self, aggregate: Option<&JsonAggConstructor>) -> Result<Flow, ReadError> {
        let Some(aggregate) = aggregate else { return Ok(Flow::FREE) };
        self.all(&aggregate.agg_order)?;
        let filter = self.one(aggregate.agg_filter.as_deref())?;
        match aggregate.over.as_deref() {
            Some(window) => Ok(filter.and(self.window(window)?)),
            None => Ok(filter),
        }
    }

    fn json_behavior(&mut self, behavior: Option<&JsonBehavior>) -> Result<Flow, ReadError> {
        self.one(behavior.and_then(|behavior| behavior.expr.as_deref()))
    }

    fn json_function(&mut self, json: &JsonFuncExpr) -> Result<Flow, ReadError> {
        let mark = self.constants.len();
        let mut flow = self.json_value(json.context_item.as_deref())?;
        flow = flow.and(self.one(json.pathspec.as_deref())?);
        flow = flow.and(self.all(&json.passing)?);
        for behavior in [&json.on_empty, &json.on_error] {
            flow = flow.and(self.json_behavior(behavior.as_deref())?);
        }
        self.associate(mark, &flow);
        Ok(flow)
    }

    /// `JSON_TABLE(document, path COLUMNS (…))`: every column comes from the document.
    pub(crate) fn json_table(&mut self, table: &JsonTable) -> Result<Item, ReadError> {
        let mut flow = self.json_value(table.context_item.as_deref())?;
        flow = flow.and(self.all(&table.passing)?);
        if let Some(path) = table.pathspec.as_deref() {
            flow = flow.and(self.one(path.string.as_deref())?);
        }
        flow = flow.and(self.json_behavior(table.on_error.as_deref())?);
        let mut columns = Vec::new();
        self.json_columns(&table.columns, &flow, &mut columns)?;
        let mut item = Item { rows: Rows { columns, open: None }, columns_visible: true, ..Item::default() };
        alias(&mut item, table.alias.as_ref());
        Ok(item)
    }

    fn json_columns(&mut self, nodes: &[Node], flow: &Flow, columns: &mut Vec<Named>) -> Result<(), ReadError> {
        for node in nodes {
            let Some(NodeEnum::JsonTableColumn(column)) = &node.node else { continue };
            self.enter()?;
            let own = self.json_column(column)?;
            if column.columns.is_empty() {
                columns.push(Named::new(column.name.as_str(), flow.clone().and(own)));
            } else {
                self.json_columns(&column.columns, flow, columns)?;
            }
            self.leave();
        }
        Ok(())
    }

    fn json_column(&mut self, column: &JsonTableColumn) -> Result<Flow, ReadError> {
        self.type_name(column.type_name.as_ref());
        let path = column.pathspec.as_deref().and_then(|path| path.string.as_deref());
        let mut flow = self.one(path)?;
        for behavior in [&column.on_empty, &column.on_error] {
            flow = flow.and(self.json_behavior(behavior.as_deref())?);
        }
        Ok(flow)
    }

    /// `XMLTABLE(path PASSING document COLUMNS …)`.
    pub(crate) fn xml_table(&mut self, table: &RangeTableFunc) -> Result<Item, ReadError> {
        let mut flow = self.one(table.docexpr.as_deref())?;
        flow = flow.and(self.one(table.rowexpr.as_deref())?);
        flow = flow.and(self.all(&table.namespaces)?);
        let mut columns = Vec::new();
        for node in &table.columns {
            let Some(NodeEnum::RangeTableFuncCol(column)) = &node.node else { continue };
            self.type_name(column.type_name.as_ref());
            let own = self.one(column.colexpr.as_deref())?;
            let default = self.one(column.coldefexpr.as_deref())?;
            columns.push(Named::new(column.colname.as_str(), flow.clone().and(own).and(default)));
        }
        let mut item = Item { rows: Rows { columns, open: None }, columns_visible: true, ..Item::default() };
        alias(&mut item, table.alias.as_ref());
        Ok(item)
    }
}
