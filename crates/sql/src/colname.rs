//! The name that PostgreSQL gives an output column without an alias.

use crate::names::{string, strings};
use pg_query::NodeEnum;
use pg_query::protobuf::{JsonExprOp, MinMaxOp, Node, SelectStmt, SqlValueFunctionOp, SubLinkType, XmlExprOp};
use std::sync::Arc;

/// A name, and whether it is sure to be the one.
pub(crate) struct Guess {
    pub(crate) name: Arc<str>,
    pub(crate) certain: bool,
}

/// The name of a column with this value.
pub(crate) fn of(node: &Node) -> Guess {
    match figure(node) {
        Some((name, _)) => Guess { name: Arc::from(name), certain: true },
        None => Guess { name: Arc::from("?column?"), certain: is_nameless(node) },
    }
}

/// The name, and whether it is stronger than the name of a cast's type.
fn figure(mut node: &Node) -> Option<(&str, bool)> {
    let mut cast: Option<&str> = None;
    loop {
        let found = match node.node.as_ref()? {
            NodeEnum::TypeCast(inner) => {
                let name = inner.type_name.as_ref().and_then(|name| strings(&name.names).last().copied());
                cast = cast.or(name);
                match inner.arg.as_deref() {
                    Some(arg) => {
                        node = arg;
                        continue;
                    }
                    None => None,
                }
            }
            NodeEnum::CollateClause(inner) => {
                node = inner.arg.as_deref()?;
                continue;
            }
            NodeEnum::AIndirection(inner) => match strings(&inner.indirection).last() {
                Some(name) => Some((*name, true)),
                None => {
                    node = inner.arg.as_deref()?;
                    continue;
                }
            },
            NodeEnum::CaseExpr(case) => match case.defresult.as_deref().and_then(|node| figure_in(node)) {
                Some(strong) => Some((strong, true)),
                None => Some(("case", false)),
            },
            other => plain(other),
        };
        return match (found, cast) {
            (Some((name, true)), _) => Some((name, true)),
            (_, Some(cast)) => Some((cast, false)),
            (found, None) => found,
        };
    }
}

/// The strong name of a CASE's default, one level deep: deeper ones are not worth the stack.
fn figure_in(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::CaseExpr(_) => None,
        _ => figure(node).filter(|(_, strong)| *strong).map(|(name, _)| name),
    }
}

fn plain(node: &NodeEnum) -> Option<(&str, bool)> {
    Some(match node {
        NodeEnum::ColumnRef(name) => (name.fields.iter().rev().find_map(string)?, true),
        NodeEnum::FuncCall(call) => (strings(&call.funcname).last().copied()?, true),
        NodeEnum::AExpr(expr) if expr.kind == pg_query::protobuf::AExprKind::AexprNullif as i32 => ("nullif", true),
        NodeEnum::SubLink(link) => match SubLinkType::try_from(link.sub_link_type).ok()? {
            SubLinkType::ExistsSublink => ("exists", true),
            SubLinkType::ArraySublink => ("array", true),
            SubLinkType::ExprSublink => (first_name(link.subselect.as_deref()?)?, true),
            _ => return None,
        },
        NodeEnum::AArrayExpr(_) => ("array", true),
        NodeEnum::RowExpr(_) => ("row", true),
        NodeEnum::CoalesceExpr(_) => ("coalesce", true),
        NodeEnum::GroupingFunc(_) => ("grouping", true),
        NodeEnum::MergeSupportFunc(_) => ("merge_action", true),
        NodeEnum::MinMaxExpr(expr) if expr.op == MinMaxOp::IsGreatest as i32 => ("greatest", true),
        NodeEnum::MinMaxExpr(_) => ("least", true),
        NodeEnum::SqlvalueFunction(function) => (sql_value(function.op)?, true),
        NodeEnum::XmlExpr(xml) => (xml_name(xml.op)?, true),
        NodeEnum::XmlSerialize(_) => ("xmlserialize", true),
        NodeEnum::JsonFuncExpr(json) => (json_name(json.op)?, true),
        NodeEnum::JsonParseExpr(_) => ("json", true),
        NodeEnum::JsonScalarExpr(_) => ("json_scalar", true),
        NodeEnum::JsonSerializeExpr(_) => ("json_serialize", true),
        NodeEnum::JsonObjectConstructor(_) => ("json_object", true),
        NodeEnum::JsonArrayConstructor(_) | NodeEnum::JsonArrayQueryConstructor(_) => ("json_array", true),
        NodeEnum::JsonObjectAgg(_) => ("json_objectagg", true),
        NodeEnum::JsonArrayAgg(_) => ("json_arrayagg", true),
        _ => return None,
    })
}

/// The name of a query's first column.
fn first_name(node: &Node) -> Option<&str> {
    let Some(NodeEnum::SelectStmt(select)) = &node.node else { return None };
    let mut select: &SelectStmt = select;
    while let Some(left) = select.larg.as_deref() {
        select = left;
    }
    if !select.values_lists.is_empty() {
        return Some("column1");
    }
    match select.target_list.first()?.node.as_ref()? {
        NodeEnum::ResTarget(target) if !target.name.is_empty() => Some(&target.name),
        NodeEnum::ResTarget(target) => {
            let value = target.val.as_deref()?;
            figure(value).map(|(name, _)| name).or_else(|| is_nameless(value).then_some("?column?"))
        }
        _ => None,
    }
}

/// Whether PostgreSQL itself has no name for it.
fn is_nameless(node: &Node) -> bool {
    matches!(
        node.node,
        Some(
            NodeEnum::AConst(_)
                | NodeEnum::ParamRef(_)
                | NodeEnum::BoolExpr(_)
                | NodeEnum::NullTest(_)
                | NodeEnum::BooleanTest(_)
                | NodeEnum::AExpr(_)
                | NodeEnum::SubLink(_)
                | NodeEnum::JsonIsPredicate(_)
        )
    ) && !matches!(&node.node, Some(NodeEnum::SubLink(link)) if is_plain_sublink(link.sub_link_type))
}

/// `(SELECT …)` has its column's name; `= ANY (SELECT …)` has none.
fn is_plain_sublink(kind: i32) -> bool {
    kind == SubLinkType::ExprSublink as i32
}

fn json_name(op: i32) -> Option<&'static str> {
    Some(match JsonExprOp::try_from(op).ok()? {
        JsonExprOp::JsonExistsOp => "json_exists",
        JsonExprOp::JsonQueryOp => "json_query",
        JsonExprOp::JsonValueOp => "json_value",
        _ => return None,
    })
}

fn sql_value(op: i32) -> Option<&'static str> {
    Some(match SqlValueFunctionOp::try_from(op).ok()? {
        SqlValueFunctionOp::SvfopCurrentDate => "current_date",
        SqlValueFunctionOp::SvfopCurrentTime | SqlValueFunctionOp::SvfopCurrentTimeN => "current_time",
        SqlValueFunctionOp::SvfopCurrentTimestamp | SqlValueFunctionOp::SvfopCurrentTimestampN => "current_timestamp",
        SqlValueFunctionOp::SvfopLocaltime | SqlValueFunctionOp::SvfopLocaltimeN => "localtime",
        SqlValueFunctionOp::SvfopLocaltimestamp | SqlValueFunctionOp::SvfopLocaltimestampN => "localtimestamp",
        SqlValueFunctionOp::SvfopCurrentRole => "current_role",
        SqlValueFunctionOp::SvfopCurrentUser => "current_user",
        SqlValueFunctionOp::SvfopUser => "user",
        SqlValueFunctionOp::SvfopSessionUser => "session_user",
        SqlValueFunctionOp::SvfopCurrentCatalog => "current_catalog",
        SqlValueFunctionOp::SvfopCurrentSchema => "current_schema",
        SqlValueFunctionOp::SqlvalueFunctionOpUndefined => return None,
    })
}

fn xml_name(op: i32) -> Option<&'static str> {
    Some(match XmlExprOp::try_from(op).ok()? {
        XmlExprOp::IsXmlconcat => "xmlconcat",
        XmlExprOp::IsXmlelement => "xmlelement",
        XmlExprOp::IsXmlforest => "xmlforest",
        XmlExprOp::IsXmlparse => "xmlparse",
        XmlExprOp::IsXmlpi => "xmlpi",
        XmlExprOp::IsXmlroot => "xmlroot",
        _ => return None,
    })
}
