//! Function calls: what is called, and what it can do.

use crate::facts::Facts;
use crate::flow::Flow;
use crate::functions::{self, Trust};
use crate::index::is_system;
use crate::literals::Literals;
use crate::names::{Configured, Reader, strings};
use crate::{Function, FunctionKind, ReadError, Volatility};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, a_const};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

/// How many function bodies are read inside each other.
const MAX_BODIES: u32 = 3;

impl<'a> Reader<'a> {
    pub(crate) fn call(&mut self, call: &FuncCall) -> Result<Flow, ReadError> {
        let mark = self.constants.len();
        let mut flow = self.all(&call.args)?;
        let order = self.all(&call.agg_order)?;
        if call.agg_within_group {
            flow = flow.and(order);
        }
        flow = flow.and(self.one(call.agg_filter.as_deref())?);
        if let Some(window) = call.over.as_deref() {
            flow = flow.and(self.window(window)?);
        }
        self.associate(mark, &flow);
        let names = strings(&call.funcname);
        match names.as_slice() {
            [name] => self.judge(None, name, flow, &call.args),
            [schema, name] | [_, schema, name] => self.judge(Some(schema), name, flow, &call.args),
            _ => Ok(self.unknown_function("a function of a name that is not known")),
        }
    }

    /// `row.name` where there is no such column: a function called with the row, or a field of a composite value.
    pub(crate) fn call_by_attribute(&mut self, name: &str, flow: Flow) -> Flow {
        let flow = flow.derived();
        let known = functions::builtin(name);
        let own = self.catalog.is_some_and(|catalog| catalog.functions_named(name).next().is_some());
        match known {
            Some(Trust::Harmless) if !own => flow,
            None if !own => flow,
            _ => self.judge(None, name, flow, &[]).unwrap_or(Flow::Unknown),
        }
    }

    fn judge(&mut self, schema: Option<&str>, name: &str, flow: Flow, args: &[Node]) -> Result<Flow, ReadError> {
        if schema == Some("information_schema") && name.starts_with("_pg_") {
            return Ok(flow);
        }
        let builtin = if schema.is_none_or(|schema| schema == "pg_catalog") { functions::builtin(name) } else { None };
        let candidates = self.candidates(schema, name);
        let mut result = None;
        if let Some(trust) = builtin {
            result = Some(self.apply(trust, name, flow.clone(), args));
        }
        for function in candidates {
            let other = self.judge_own(function, flow.clone())?;
            result = Some(result.map_or_else(|| other.clone(), |before| before.and(other.clone())));
        }
        let full = || schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
        Ok(match result {
            Some(flow) => flow,
            None if name.starts_with("dblink") => self.apply(Trust::Administer, &full(), flow, args),
            None if name.starts_with("crosstab") => self.apply(Trust::Dynamic, &full(), flow, args),
            None => self.unknown_function(&full()),
        })
    }

    /// The routines that are not the server's own which a call may mean.
    fn candidates(&self, schema: Option<&str>, name: &str) -> Vec<&'a Function> {
        let Some(catalog) = self.catalog else { return Vec::new() };
        let functions = catalog.functions_named(name).filter(|function| match schema {
            Some(schema) => *function.schema == *schema,
            // A function body may have a path of its own.
            None => self.bodies > 0 || self.scope.search_path.iter().any(|s| **s == *function.schema),
        });
        functions.collect()
    }

    fn judge_own(&mut self, function: &Function, flow: Flow) -> Result<Flow, ReadError> {
        let full = format!("{}.{}", function.schema, function.name);
        let changes = function.volatility == Volatility::Volatile;
        if let Some(trust) = function
            .extension
            .as_deref()
            .and_then(|extension| functions::of_extension(extension, &function.name, changes))
        {
            return Ok(self.apply(trust, &full, flow, &[]));
        }
        if is_system(&function.schema) || function.kind != FunctionKind::Function || &*function.language != "sql" {
            return Ok(self.unknown_function(&full));
        }
        match self.read_body(function, &flow)? {
            Some((facts, result)) => {
                self.facts.resource("function", &Arc::from(full), Access::Execute);
                self.facts.absorb(&facts);
                Ok(result)
            }
            None => Ok(self.unknown_function(&full)),
        }
    }

    /// What an SQL function does, if its body can be read.
    fn read_body(&mut self, function: &Function, flow: &Flow) -> Result<Option<(Facts, Flow)>, ReadError> {
        let Some(body) = function.body.as_deref().filter(|_| self.bodies < MAX_BODIES) else { return Ok(None) };
        let Ok(parsed) = pg_query::parse(body, 0) else { return Ok(None) };
        let mut reader = Reader::new(&self.scope, Literals::default(), self.steps_left());
        reader.bodies = self.bodies + 1;
        reader.parameters = Some(flow.clone().derived());
        let mut result = flow.clone().derived();
        for raw in &parsed.protobuf.stmts {
            let Some(node) = raw.stmt.as_deref() else { continue };
            if !matches!(node.node, Some(NodeEnum::SelectStmt(_))) {
                return Ok(None);
            }
            reader.levels.clear();
            result = result.and(reader.query(node)?.whole());
        }
        self.spend(reader.steps_left());
        self.unread_views |= reader.unread_views;
        let result = result.and(reader.facts.touched_flow());
        Ok(reader.facts.is_exact().then_some((reader.facts, result)))
    }

    fn apply(&mut self, trust: Trust, name: &str, flow: Flow, args: &[Node]) -> Flow {
        if trust == Trust::Harmless {
            return flow.derived();
        }
        if name == "current_setting" {
            return self.current_setting(flow, args);
        }
        self.facts.resource("function", &Arc::from(name), Access::Execute);
        let keeps = matches!(trust, Trust::Write | Trust::Lock | Trust::Sleep | Trust::Setting);
        if keeps && is_data(&flow) {
            // A setting, sequence, lock or clock that is given data gives it back where no lineage follows.
            self.facts.at_least(Effect::Execute);
            self.facts.traits.insert(traits::DANGEROUS_FUNCTION);
            self.facts.partial(format!("{name} is given data that can be read back elsewhere"));
        }
        match trust {
            Trust::Harmless | Trust::Opaque => {}
            Trust::Write => {
                self.facts.at_least(Effect::Write);
                self.facts.traits.insert(traits::HIDDEN_WRITE);
            }
            Trust::Lock => {
                self.facts.traits.insert(traits::LOCK);
            }
            Trust::Sleep => {
                self.facts.traits.insert(traits::DANGEROUS_FUNCTION);
            }
            Trust::Setting => self.set_config(args),
            Trust::Dynamic => {
                self.facts.at_least(Effect::Execute);
                self.facts.traits.insert(traits::DYNAMIC_CODE);
                self.facts.traits.insert(traits::DANGEROUS_FUNCTION);
                self.facts.partial(format!("{name} runs SQL that is not in the statement's own text"));
            }
            Trust::File => {
                self.facts.at_least(Effect::Administer);
                self.facts.traits.insert(traits::SERVER_FILE);
                self.facts.traits.insert(traits::DANGEROUS_FUNCTION);
            }
            Trust::Administer => {
                self.facts.at_least(Effect::Administer);
                self.facts.traits.insert(traits::DANGEROUS_FUNCTION);
            }
        }
        match trust {
            Trust::Harmless | Trust::Write | Trust::Lock | Trust::Sleep | Trust::Setting => flow.derived(),
            Trust::Opaque | Trust::Dynamic | Trust::File | Trust::Administer => {
                self.facts.touched_unknown = true;
                Flow::Unknown
            }
        }
    }

    /// A setting of the server's own is no data; one of a user's own can hold any.
    fn current_setting(&mut self, flow: Flow, args: &[Node]) -> Flow {
        match args.first().and_then(constant_text) {
            Some(name) if !name.contains('.') => flow.derived(),
            _ => {
                self.facts.touched_unknown = true;
                Flow::Unknown
            }
        }
    }

    fn set_config(&mut self, args: &[Node]) {
        self.facts.traits.insert(traits::SETTING);
        let text = |at: usize| args.get(at).and_then(constant_text).map(str::to_owned);
        let in_view = args.first().filter(|arg| crate::settings::is_name(arg)).and_then(|_| self.setting.clone());
        let name = text(0).or(in_view);
        self.judge_setting(name.as_deref());
        let local = args.get(2).and_then(crate::settings::value).and_then(|word| crate::settings::truth(&word));
        self.settings.push(Configured { name, value: text(1), local: local != Some(false) });
    }

    /// It runs code of which nothing is known: the worst is assumed.
    pub(crate) fn unknown_function(&mut self, name: &str) -> Flow {
        self.facts.at_least(Effect::Execute);
        self.facts.traits.insert(traits::UNKNOWN_FUNCTION);
        self.facts.resource("function", &Arc::from(name), Access::Execute);
        self.facts.partial(format!("what {name} does is not known"));
        self.facts.touched_unknown = true;
        Flow::Unknown
    }
}

/// Whether a value may hold what users keep, rather than what the server says of its structure.
fn is_data(flow: &Flow) -> bool {
    flow.columns().is_none_or(|columns| columns.iter().any(|column| !column.relation.starts_with("pg_catalog.")))
}

/// The text of a string constant, cast or not.
pub(crate) fn constant_text(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Sval(text) => Some(&text.sval),
            _ => None,
        },
        NodeEnum::TypeCast(cast) => match cast.arg.as_deref()?.node.as_ref()? {
            NodeEnum::AConst(constant) => match constant.val.as_ref()? {
                a_const::Val::Sval(text) => Some(&text.sval),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
