//! Statements about rights, settings, the server, and ways out of the database.

use crate::SessionChange;
use crate::names::Reader;
use crate::utility::Told;
use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ObjectType};
use std::sync::Arc;
use vestibule_core::{Access, traits};

impl Reader<'_> {
    /// Statements about rights, settings and the server. What is not known at all is one of these.
    pub(crate) fn administration(&mut self, node: &NodeEnum) -> Told {
        let (action, facts): (&'static str, &[&'static str]) = match node {
            NodeEnum::GrantStmt(grant) => {
                if grant.objtype == ObjectType::ObjectTable as i32 {
                    self.mark_all(&grant.objects, Access::Define);
                }
                (if grant.is_grant { "GRANT" } else { "REVOKE" }, &[traits::RIGHTS])
            }
            NodeEnum::GrantRoleStmt(grant) => {
                for role in grant.granted_roles.iter().filter_map(role_of) {
                    self.facts.resource("role", &Arc::from(role), Access::Define);
                }
                (if grant.is_grant { "GRANT ROLE" } else { "REVOKE ROLE" }, &[traits::RIGHTS])
            }
            NodeEnum::AlterDefaultPrivilegesStmt(_) => ("ALTER DEFAULT PRIVILEGES", &[traits::RIGHTS]),
            NodeEnum::CreateRoleStmt(create) => self.role("CREATE ROLE", Some(&create.role)),
            NodeEnum::AlterRoleStmt(alter) => self.role("ALTER ROLE", alter.role.as_ref().map(|role| &role.rolename)),
            NodeEnum::AlterRoleSetStmt(alter) => {
                self.facts.traits.insert(traits::SETTING);
                self.role("ALTER ROLE", alter.role.as_ref().map(|role| &role.rolename))
            }
            NodeEnum::DropRoleStmt(drop) => {
                for role in drop.roles.iter().filter_map(role_of) {
                    self.facts.resource("role", &Arc::from(role), Access::Define);
                }
                ("DROP ROLE", &[traits::RIGHTS, traits::DESTRUCTIVE])
            }
            NodeEnum::ReassignOwnedStmt(_) => ("REASSIGN OWNED", &[traits::RIGHTS]),
            NodeEnum::DropOwnedStmt(_) => ("DROP OWNED", &[traits::RIGHTS, traits::DESTRUCTIVE]),
            NodeEnum::CreatePolicyStmt(policy) => {
                self.mark_range(policy.table.as_ref(), Access::Define);
                ("CREATE POLICY", &[traits::RIGHTS])
            }
            NodeEnum::AlterPolicyStmt(policy) => {
                self.mark_range(policy.table.as_ref(), Access::Define);
                ("ALTER POLICY", &[traits::RIGHTS])
            }
            NodeEnum::SecLabelStmt(_) => ("SECURITY LABEL", &[traits::RIGHTS]),
            NodeEnum::AlterSystemStmt(_) => ("ALTER SYSTEM", &[traits::SETTING]),
            NodeEnum::AlterDatabaseSetStmt(_) => ("ALTER DATABASE", &[traits::SETTING]),
            NodeEnum::AlterDatabaseStmt(_) | NodeEnum::AlterDatabaseRefreshCollStmt(_) => ("ALTER DATABASE", &[]),
            NodeEnum::CreatedbStmt(_) => ("CREATE DATABASE", &[]),
            NodeEnum::DropdbStmt(_) => ("DROP DATABASE", &[traits::DESTRUCTIVE]),
            NodeEnum::CheckPointStmt(_) => ("CHECKPOINT", &[]),
            NodeEnum::LoadStmt(_) => ("LOAD", &[traits::DYNAMIC_CODE, traits::SERVER_FILE]),
            NodeEnum::CreateExtensionStmt(create) => {
                self.facts.resource("extension", &Arc::from(create.extname.as_str()), Access::Define);
                ("CREATE EXTENSION", &[traits::DYNAMIC_CODE])
            }
            NodeEnum::AlterExtensionStmt(_) => ("ALTER EXTENSION", &[traits::DYNAMIC_CODE]),
            NodeEnum::CreatePlangStmt(_) => ("CREATE LANGUAGE", &[traits::DYNAMIC_CODE]),
            NodeEnum::CreateAmStmt(_) => ("CREATE ACCESS METHOD", &[traits::DYNAMIC_CODE]),
            NodeEnum::CreateEventTrigStmt(_) => ("CREATE EVENT TRIGGER", &[traits::DYNAMIC_CODE]),
            NodeEnum::AlterEventTrigStmt(_) => ("ALTER EVENT TRIGGER", &[traits::DYNAMIC_CODE]),
            _ => self.outside(node),
        };
        self.administer(facts);
        Told::changing(action, SessionChange::Structure)
    }

    /// Statements that lead out of the database.
    fn outside(&mut self, node: &NodeEnum) -> (&'static str, &'static [&'static str]) {
        match node {
            NodeEnum::CreateTableSpaceStmt(_) => ("CREATE TABLESPACE", &[traits::SERVER_FILE]),
            NodeEnum::DropTableSpaceStmt(_) => ("DROP TABLESPACE", &[traits::DESTRUCTIVE]),
            NodeEnum::AlterTableSpaceOptionsStmt(_) | NodeEnum::AlterTableMoveAllStmt(_) => ("ALTER TABLESPACE", &[]),
            NodeEnum::CreateFdwStmt(_) => ("CREATE FOREIGN DATA WRAPPER", &[traits::DYNAMIC_CODE]),
            NodeEnum::AlterFdwStmt(_) => ("ALTER FOREIGN DATA WRAPPER", &[traits::DYNAMIC_CODE]),
            NodeEnum::CreateForeignServerStmt(_) => ("CREATE SERVER", &[traits::RIGHTS]),
            NodeEnum::AlterForeignServerStmt(_) => ("ALTER SERVER", &[traits::RIGHTS]),
            NodeEnum::CreateForeignTableStmt(create) => {
                if let Some(table) = create.base_stmt.as_ref().and_then(|base| base.relation.as_ref()) {
                    self.define_new("table", table);
                }
                ("CREATE FOREIGN TABLE", &[traits::SERVER_FILE])
            }
            NodeEnum::CreateUserMappingStmt(_) => ("CREATE USER MAPPING", &[traits::RIGHTS]),
            NodeEnum::AlterUserMappingStmt(_) => ("ALTER USER MAPPING", &[traits::RIGHTS]),
            NodeEnum::DropUserMappingStmt(_) => ("DROP USER MAPPING", &[traits::RIGHTS]),
            NodeEnum::ImportForeignSchemaStmt(_) => ("IMPORT FOREIGN SCHEMA", &[traits::SERVER_FILE]),
            NodeEnum::CreatePublicationStmt(_) => ("CREATE PUBLICATION", &[traits::BULK_EXPORT]),
            NodeEnum::AlterPublicationStmt(_) => ("ALTER PUBLICATION", &[traits::BULK_EXPORT]),
            NodeEnum::CreateSubscriptionStmt(_) => ("CREATE SUBSCRIPTION", &[traits::BULK_IMPORT]),
            NodeEnum::AlterSubscriptionStmt(_) => ("ALTER SUBSCRIPTION", &[traits::BULK_IMPORT]),
            NodeEnum::DropSubscriptionStmt(_) => ("DROP SUBSCRIPTION", &[traits::DESTRUCTIVE]),
            _ => {
                self.facts.partial("a statement of a kind that is not known");
                ("UNKNOWN", &[])
            }
        }
    }

    fn role(&mut self, action: &'static str, name: Option<&String>) -> (&'static str, &'static [&'static str]) {
        if let Some(name) = name {
            self.facts.resource("role", &Arc::from(name.as_str()), Access::Define);
        }
        (action, &[traits::RIGHTS])
    }
}

fn role_of(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AccessPriv(role) => Some(&role.priv_name),
        NodeEnum::RoleSpec(role) => Some(&role.rolename),
        _ => None,
    }
}
