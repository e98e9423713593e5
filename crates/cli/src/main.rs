//! `vestibule`: the one binary. It serves, and it holds every command of people, jobs, auditors and operators.
//!
//! Here are the command line, what is printed, and how a failure is told. Not here: what the gateway does.

mod args;
mod client;
mod commands;
mod failure;
mod output;
mod profile;
mod signed;

use clap::Parser;
use std::process::ExitCode;

/// Statements nest, and are read by recursion up to a fixed depth: that depth must fit. Address space, not memory.
const STACK: usize = 32 << 20;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    // The one provider of cryptography; libraries that ask for "the" provider get it.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        output::note("vestibule: another provider of cryptography is installed");
        return ExitCode::from(6);
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.enable_all().thread_stack_size(STACK).build() {
        Ok(runtime) => runtime,
        Err(e) => {
            output::note(format!("vestibule: cannot start: {e}"));
            return ExitCode::from(6);
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(failure.to_string());
            failure.code()
        }
    }
}
