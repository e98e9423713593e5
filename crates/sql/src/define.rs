//! Statements that define: structure, rights, the server itself.

use crate::flow::Flow;
use crate::names::{Item, Reader, string, strings};
use crate::utility::Told;
use crate::{ReadError, SessionChange};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType, Constraint, DropBehavior, DropStmt,
    IndexStmt, Node, ObjectType, RangeVar,
};
use std::sync::Arc;
use vestibule_core::{Access, Effect, traits};

impl Reader<'_> {
    /// Statements that change structure.
    pub(crate) fn definition(&mut self, node: &NodeEnum) -> Result<Told, ReadError> {
        self.facts.at_least(Effect::Define);
        let action = match node {
            NodeEnum::CreateStmt(create) => {
                self.create(create.relation.as_ref(), &create.inh_relations);
                // Defaults and checks run when rows are written, not now.
                for node in &create.table_elts {
                    if let Some(NodeEnum::TableLikeClause(like)) = &node.node {
                        self.mark_range(like.relation.as_ref(), Access::Read);
                    }
                }
                "CREATE TABLE"
            }
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter)?,
            NodeEnum::DropStmt(drop) => self.drop(drop),
            NodeEnum::TruncateStmt(truncate) => {
                self.facts.traits.insert(traits::DESTRUCTIVE);
                self.mark_all(&truncate.relations, Access::Write);
                self.cascade(truncate.behavior);
                return Ok(Told::new("TRUNCATE"));
            }
            NodeEnum::IndexStmt(index) => self.index(index)?,
            NodeEnum::RenameStmt(rename) => {
                self.mark_range(rename.relation.as_ref(), Access::Define);
                self.renamed(rename.rename_type);
                "ALTER"
            }
            NodeEnum::AlterObjectSchemaStmt(alter) => {
                self.mark_range(alter.relation.as_ref(), Access::Define);
                self.renamed(alter.object_type);
                "ALTER"
            }
            NodeEnum::AlterOwnerStmt(alter) => {
                self.mark_range(alter.relation.as_ref(), Access::Define);
                self.administer(&[traits::RIGHTS]);
                "ALTER OWNER"
            }
            NodeEnum::CommentStmt(_) => "COMMENT",
            _ => return self.lesser_definition(node),
        };
        Ok(Told::changing(action, SessionChange::Structure))
    }

    /// What holds data gets another name: what is known of the one would be believed of the other.
    fn renamed(&mut self, kind: i32) {
        let holds = matches!(
            ObjectType::try_from(kind),
            Ok(ObjectType::ObjectTable
                | ObjectType::ObjectColumn
                | ObjectType::ObjectView
                | ObjectType::ObjectMatview
                | ObjectType::ObjectForeignTable
                | ObjectType::ObjectSchema
                | ObjectType::ObjectDatabase
                | ObjectType::ObjectExtension
                | ObjectType::ObjectType
                | ObjectType::ObjectAttribute)
        );
        if holds {
            self.facts.traits.insert(traits::RENAMES);
        }
    }

    fn lesser_definition(&mut self, node: &NodeEnum) -> Result<Told, ReadError> {
        let action = match node {
            NodeEnum::CreateSchemaStmt(create) => {
                self.facts.resource("schema", &Arc::from(create.schemaname.as_str()), Access::Define);
                for element in create.schema_elts.iter().filter_map(|element| element.node.as_ref()) {
                    self.enter()?;
                    self.statement(element)?;
                    self.leave();
                }
                "CREATE SCHEMA"
            }
            NodeEnum::CreateSeqStmt(create) => {
                if let Some(sequence) = &create.sequence {
                    self.define_new("sequence", sequence);
                }
                "CREATE SEQUENCE"
            }
            NodeEnum::AlterSeqStmt(alter) => {
                self.mark_range(alter.sequence.as_ref(), Access::Define);
                "ALTER SEQUENCE"
            }
            NodeEnum::VacuumStmt(vacuum) => {
                self.facts.effect = Effect::Write;
                self.mark_all(&vacuum.rels, Access::Write);
                return Ok(Told::new(if vacuum.is_vacuumcmd { "VACUUM" } else { "ANALYZE" }));
            }
            NodeEnum::ClusterStmt(cluster) => {
                self.mark_range(cluster.relation.as_ref(), Access::Define);
                return Ok(Told::new("CLUSTER"));
            }
            NodeEnum::ReindexStmt(reindex) => {
                self.mark_range(reindex.relation.as_ref(), Access::Define);
                return Ok(Told::new("REINDEX"));
            }
            _ => return Ok(self.plain_definition(node)),
        };
        Ok(Told::changing(action, SessionChange::Structure))
    }

    /// Definitions of which only the kind matters.
    fn plain_definition(&mut self, node: &NodeEnum) -> Told {
        let action = match node {
            NodeEnum::CreateEnumStmt(_) | NodeEnum::CompositeTypeStmt(_) => "CREATE TYPE",
            NodeEnum::AlterEnumStmt(_) | NodeEnum::AlterTypeStmt(_) => "ALTER TYPE",
            NodeEnum::CreateStatsStmt(_) => "CREATE STATISTICS",
            NodeEnum::AlterStatsStmt(_) => "ALTER STATISTICS",
            NodeEnum::AlterCollationStmt(_) => "ALTER COLLATION",
            NodeEnum::ReplicaIdentityStmt(_) => "ALTER TABLE",
            NodeEnum::AlterTsconfigurationStmt(_) => "ALTER TEXT SEARCH CONFIGURATION",
            NodeEnum::AlterTsdictionaryStmt(_) => "ALTER TEXT SEARCH DICTIONARY",
            NodeEnum::CreateFunctionStmt(create) => {
                let name = strings(&create.funcname).join(".");
                self.facts.resource("function", &Arc::from(name), Access::Define);
                self.code("CREATE FUNCTION")
            }
            NodeEnum::AlterFunctionStmt(_) => self.code("ALTER FUNCTION"),
            NodeEnum::RuleStmt(rule) => {
                self.mark_range(rule.relation.as_ref(), Access::Define);
                self.code("CREATE RULE")
            }
            NodeEnum::CreateTrigStmt(trigger) => {
                self.mark_range(trigger.relation.as_ref(), Access::Define);
                self.code("CREATE TRIGGER")
            }
            NodeEnum::CreateDomainStmt(_) => self.code("CREATE DOMAIN"),
            NodeEnum::AlterDomainStmt(_) => self.code("ALTER DOMAIN"),
            NodeEnum::CreateRangeStmt(_) => self.code("CREATE TYPE"),
            NodeEnum::DefineStmt(_) => self.code("CREATE"),
            NodeEnum::CreateCastStmt(_) => self.code("CREATE CAST"),
            NodeEnum::CreateConversionStmt(_) => self.code("CREATE CONVERSION"),
            NodeEnum::CreateTransformStmt(_) => self.code("CREATE TRANSFORM"),
            NodeEnum::CreateOpClassStmt(_) => self.code("CREATE OPERATOR CLASS"),
            NodeEnum::CreateOpFamilyStmt(_) => self.code("CREATE OPERATOR FAMILY"),
            NodeEnum::AlterOpFamilyStmt(_) => self.code("ALTER OPERATOR FAMILY"),
            NodeEnum::AlterOperatorStmt(_) => self.code("ALTER OPERATOR"),
            _ => return self.administration(node),
        };
        Told::changing(action, SessionChange::Structure)
    }

    pub(crate) fn administer(&mut self, facts: &[&'static str]) {
        self.facts.at_least(Effect::Administer);
        self.facts.traits.extend(facts);
    }

    fn code(&mut self, action: &'static str) -> &'static str {
        self.facts.traits.insert(traits::DYNAMIC_CODE);
        action
    }

    fn create(&mut self, relation: Option<&RangeVar>, parents: &[Node]) {
        if let Some(relation) = relation {
            self.define_new("table", relation);
        }
        self.mark_all(parents, Access::Define);
    }

    /// Columns and constraints that an existing table gets: their expressions run at once.
    fn elements(&mut self, nodes: &[Node]) -> Result<(), ReadError> {
        for node in nodes {
            match &node.node {
                Some(NodeEnum::ColumnDef(column)) => self.column_definition(column)?,
                Some(NodeEnum::Constraint(constraint)) => self.constraint(constraint)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn column_definition(&mut self, column: &ColumnDef) -> Result<(), ReadError> {
        self.type_name(column.type_name.as_ref());
        self.one(column.raw_default.as_deref())?;
        self.elements(&column.constraints)
    }

    fn constraint(&mut self, constraint: &Constraint) -> Result<(), ReadError> {
        self.one(constraint.raw_expr.as_deref())?;
        self.one(constraint.where_clause.as_deref())?;
        self.mark_range(constraint.pktable.as_ref(), Access::Read);
        Ok(())
    }

    fn index(&mut self, index: &IndexStmt) -> Result<&'static str, ReadError> {
        self.with_table(index.relation.as_ref(), |reader| {
            for node in &index.index_params {
                if let Some(NodeEnum::IndexElem(element)) = &node.node {
                    reader.one(element.expr.as_deref())?;
                }
            }
            reader.one(index.where_clause.as_deref()).map(|_| ())
        })?;
        self.mark_range(index.relation.as_ref(), Access::Define);
        Ok("CREATE INDEX")
    }

    /// Reads expressions over one table.
    fn with_table(
        &mut self,
        range: Option<&RangeVar>,
        read: impl FnOnce(&mut Self) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.levels.push(Default::default());
        if let Some(range) = range {
            let mut item: Item = self.relation_item(range, false);
            item.name = Some(Arc::from(range.relname.as_str()));
            self.show(vec![item]);
        }
        read(self)?;
        self.levels.pop();
        Ok(())
    }

    fn alter_table(&mut self, alter: &AlterTableStmt) -> Result<&'static str, ReadError> {
        self.mark_range(alter.relation.as_ref(), Access::Define);
        self.with_table(alter.relation.as_ref(), |reader| {
            for node in &alter.cmds {
                let Some(NodeEnum::AlterTableCmd(command)) = &node.node else { continue };
                reader.alter_kind(command.subtype);
                reader.recomputed(command)?;
                if let Some(definition) = command.def.as_deref() {
                    match &definition.node {
                        Some(NodeEnum::ColumnDef(_) | NodeEnum::Constraint(_)) => {
                            reader.elements(std::slice::from_ref(definition))?;
                        }
                        Some(NodeEnum::PartitionCmd(part)) => reader.mark_range(part.name.as_ref(), Access::Define),
                        Some(NodeEnum::AExpr(_) | NodeEnum::FuncCall(_) | NodeEnum::TypeCast(_)) => {
                            reader.expr(definition)?;
                        }
                        _ => {}
                    }
                }
            }
            Ok(())
        })?;
        let kind = ObjectType::try_from(alter.objtype).unwrap_or(ObjectType::ObjectTable);
        Ok(match kind {
            ObjectType::ObjectView => "ALTER VIEW",
            ObjectType::ObjectIndex => "ALTER INDEX",
            ObjectType::ObjectSequence => "ALTER SEQUENCE",
            ObjectType::ObjectMatview => "ALTER MATERIALIZED VIEW",
            ObjectType::ObjectType => "ALTER TYPE",
            _ => "ALTER TABLE",
        })
    }

    /// A column gets what others hold: `TYPE … USING`, and generated columns.
    fn recomputed(&mut self, command: &AlterTableCmd) -> Result<(), ReadError> {
        let kind = AlterTableType::try_from(command.subtype);
        let moved = match command.def.as_deref().and_then(|definition| definition.node.as_ref()) {
            Some(NodeEnum::ColumnDef(column)) if kind == Ok(AlterTableType::AtAlterColumnType) => {
                let own =
                    |flow: &Flow| flow.columns().is_some_and(|all| all.iter().all(|c| *c.column == *command.name));
                let using = column.raw_default.as_deref().map(|using| self.expr(using)).transpose()?;
                using.is_some_and(|flow| !own(&flow))
            }
            Some(NodeEnum::ColumnDef(column)) => column.constraints.iter().any(|node| {
                let generated = ConstrType::ConstrGenerated as i32;
                matches!(&node.node, Some(NodeEnum::Constraint(constraint)) if constraint.contype == generated)
            }),
            _ => kind == Ok(AlterTableType::AtSetExpression),
        };
        if moved {
            self.facts.traits.insert(traits::LAUNDERS);
        }
        Ok(())
    }

    /// What some of the forms of ALTER TABLE do beyond structure.
    fn alter_kind(&mut self, subtype: i32) {
        match AlterTableType::try_from(subtype) {
            Ok(AlterTableType::AtDropColumn) => {
                self.facts.traits.insert(traits::DESTRUCTIVE);
            }
            Ok(
                AlterTableType::AtChangeOwner
                | AlterTableType::AtEnableTrig
                | AlterTableType::AtEnableAlwaysTrig
                | AlterTableType::AtEnableReplicaTrig
                | AlterTableType::AtDisableTrig
                | AlterTableType::AtEnableTrigAll
                | AlterTableType::AtDisableTrigAll
                | AlterTableType::AtEnableTrigUser
                | AlterTableType::AtDisableTrigUser
                | AlterTableType::AtEnableRule
                | AlterTableType::AtEnableAlwaysRule
                | AlterTableType::AtEnableReplicaRule
                | AlterTableType::AtDisableRule
                | AlterTableType::AtEnableRowSecurity
                | AlterTableType::AtDisableRowSecurity
                | AlterTableType::AtForceRowSecurity
                | AlterTableType::AtNoForceRowSecurity,
            ) => self.administer(&[traits::RIGHTS]),
            // Its rows are then read under the parent's name.
            Ok(AlterTableType::AtAttachPartition | AlterTableType::AtAddInherit) => {
                self.facts.traits.insert(traits::RENAMES);
            }
            _ => {}
        }
    }

    fn drop(&mut self, drop: &DropStmt) -> &'static str {
        self.facts.traits.insert(traits::DESTRUCTIVE);
        let kind = ObjectType::try_from(drop.remove_type).unwrap_or(ObjectType::Undefined);
        let (action, word) = match kind {
            ObjectType::ObjectTable => ("DROP TABLE", "table"),
            ObjectType::ObjectView => ("DROP VIEW", "view"),
            ObjectType::ObjectMatview => ("DROP MATERIALIZED VIEW", "materialized view"),
            ObjectType::ObjectSequence => ("DROP SEQUENCE", "sequence"),
            ObjectType::ObjectForeignTable => ("DROP FOREIGN TABLE", "table"),
            ObjectType::ObjectIndex => ("DROP INDEX", "index"),
            ObjectType::ObjectSchema => ("DROP SCHEMA", "schema"),
            ObjectType::ObjectFunction => ("DROP FUNCTION", "function"),
            ObjectType::ObjectTrigger => ("DROP TRIGGER", "trigger"),
            ObjectType::ObjectPolicy => ("DROP POLICY", "policy"),
            ObjectType::ObjectExtension => ("DROP EXTENSION", "extension"),
            ObjectType::ObjectType => ("DROP TYPE", "type"),
            _ => ("DROP", "object"),
        };
        if matches!(kind, ObjectType::ObjectPolicy | ObjectType::ObjectTrigger | ObjectType::ObjectRule) {
            self.administer(&[traits::RIGHTS]);
        }
        for node in &drop.objects {
            self.dropped(node, word);
        }
        self.cascade(drop.behavior);
        action
    }

    fn cascade(&mut self, behavior: i32) {
        if behavior == DropBehavior::DropCascade as i32 {
            self.facts.partial("CASCADE reaches what the statement does not name");
        }
    }

    fn dropped(&mut self, node: &Node, word: &'static str) {
        let names = match &node.node {
            Some(NodeEnum::List(list)) => strings(&list.items),
            Some(NodeEnum::String(_)) => string(node).into_iter().collect(),
            Some(NodeEnum::ObjectWithArgs(object)) => strings(&object.objname),
            Some(NodeEnum::TypeName(name)) => strings(&name.names),
            _ => Vec::new(),
        };
        let relation = matches!(word, "table" | "view" | "materialized view" | "sequence");
        let range = match names.as_slice() {
            [name] if relation => RangeVar { relname: (*name).to_owned(), ..RangeVar::default() },
            [schema, name] | [_, schema, name] if relation => {
                RangeVar { schemaname: (*schema).to_owned(), relname: (*name).to_owned(), ..RangeVar::default() }
            }
            _ => {
                self.facts.resource(word, &Arc::from(names.join(".")), Access::Define);
                return;
            }
        };
        let name = self.relation_name(&range);
        self.facts.resource(word, &name, Access::Define);
    }
}
