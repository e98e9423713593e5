//! What the commands do: one file a family.

mod connect;
mod evidence;
mod house;
mod ledger;
mod login;
mod policy;
mod replay;
mod requests;
mod revocations;
mod sessions;

use crate::args::{Cli, Command};
use crate::failure::Done;

/// Runs a command.
pub async fn run(cli: Cli) -> Done {
    let globals = &cli.globals;
    match cli.command {
        Command::Init(args) => house::init(&args, globals).await,
        Command::Serve => house::serve(globals).await,
        Command::Check => house::check(globals),
        Command::Login(args) => login::login(&args, globals).await,
        Command::Logout => login::logout(globals),
        Command::Whoami => login::whoami(globals).await,
        Command::Token(args) => connect::token(&args, globals).await,
        Command::Exchange(args) => connect::exchange(&args, globals).await,
        Command::Connect(args) => connect::connect(&args, globals).await,
        Command::Requests(args) => requests::list(&args, globals).await,
        Command::Approve(args) => requests::rule(&args, true, globals).await,
        Command::Deny(args) => requests::rule(&args, false, globals).await,
        Command::Sessions(args) => sessions::list(&args, globals).await,
        Command::End(args) => sessions::end(&args, globals).await,
        Command::Revoke(args) => revocations::revoke(&args, globals).await,
        Command::Restore(args) => revocations::restore(&args, globals).await,
        Command::Revocations => revocations::list(globals).await,
        Command::Replay(args) => replay::replay(&args, globals).await,
        Command::Ledger(args) => ledger::run(args, globals),
        Command::Evidence(args) => evidence::write(&args, globals).await,
        Command::Policy(args) => policy::run(args, globals).await,
    }
}
