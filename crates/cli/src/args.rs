//! What can be typed. Help texts are the first documentation anybody reads: plain words, examples, exit codes.
//!
//! Not here: what the commands do.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// The gateway between identities and systems that hold protected health information
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, max_term_width = 110, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  what was asked about is not in order: a ledger does not verify, a policy test fails, a configuration has errors
  2  the command line is wrong
  3  not logged in, or not allowed
  4  there is no such thing
  5  the gateway or an identity provider cannot be reached
  6  anything else failed
`connect` ends with the exit code of the command it runs.";

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Globals {
    /// The gateway's configuration file, for commands that run beside the gateway
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "VESTIBULE_CONFIG",
        hide_env_values = true,
        default_value = "vestibule.toml"
    )]
    pub config: PathBuf,
    /// The gateway's API, for commands that talk to it; `login` remembers it
    #[arg(long, global = true, value_name = "URL", env = "VESTIBULE_GATEWAY", hide_env_values = true)]
    pub gateway: Option<String>,
    /// Certificates (PEM) that the gateway's own must end in; `login` remembers it
    #[arg(long, global = true, value_name = "FILE", env = "VESTIBULE_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,
    /// Print JSON for machines instead of words for people
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new gateway: keys, certificates, ledger, sample configuration
    Init(Init),
    /// Run the gateway
    Serve,
    /// Say what the configuration comes to, or everything that is wrong with it
    Check,
    /// Log in at an identity provider
    Login(Login),
    /// Forget the login of this machine
    Logout,
    /// Say who is logged in
    Whoami,
    /// Print a short-lived token for one target, to paste where a client asks for a password
    Token(Token),
    /// Exchange a workload token (of a CI, Kubernetes, SPIFFE) for a short-lived Vestibule token
    Exchange(Exchange),
    /// List the targets, or run a native client with what it needs to reach one
    #[command(after_help = "Examples:\n  vestibule connect clinic -- psql\n  vestibule connect clinic --print")]
    Connect(Connect),
    /// List requests that wait for approval
    Requests(Requests),
    /// Approve a request
    Approve(Rule),
    /// Deny a request
    Deny(Rule),
    /// List sessions
    Sessions(Sessions),
    /// End a session
    End(End),
    /// Revoke somebody's access: no token of theirs is good any more, and their sessions end
    Revoke(Access),
    /// Restore access that was revoked
    Restore(Access),
    /// List whose access is revoked
    Revocations,
    /// Show a session as its client saw it; that you looked is itself recorded
    Replay(Replay),
    /// Verify and read the ledger
    #[command(subcommand)]
    Ledger(Ledger),
    /// Write sessions, accesses, approvals, denials and masks of a period as CSV, JSONL and HTML
    Evidence(Evidence),
    /// Explain and test policies
    #[command(subcommand)]
    Policy(Policy),
}

/// `init`
#[derive(Debug, Args)]
pub struct Init {
    /// Where; the directory must be empty or not exist
    #[arg(default_value = "vestibule")]
    pub dir: PathBuf,
    /// Name of the gateway: origin of its ledger, for ever
    #[arg(long, value_name = "NAME", default_value = "gateway.example/vestibule")]
    pub name: String,
    /// Host name or IP address that clients will use, besides localhost; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,
}

/// `login`
#[derive(Debug, Args)]
pub struct Login {
    /// Which identity provider, if the gateway trusts several
    #[arg(long, value_name = "NAME")]
    pub issuer: Option<String>,
    /// For terminals without a browser: show a code to type elsewhere
    #[arg(long)]
    pub device: bool,
    /// Do not open a browser; print the address
    #[arg(long, conflicts_with = "device")]
    pub no_browser: bool,
}

/// `token`
#[derive(Debug, Args)]
pub struct Token {
    /// The one target the token is good for
    pub target: String,
    /// How long it is good, for example `5m`
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
}

/// `exchange`
#[derive(Debug, Args)]
pub struct Exchange {
    /// File that holds the workload token; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from_env", required_unless_present = "from_env")]
    pub from_file: Option<PathBuf>,
    /// Environment variable that holds the workload token
    #[arg(long, value_name = "NAME")]
    pub from_env: Option<String>,
    /// The one target the token is to be good for
    #[arg(long)]
    pub target: Option<String>,
    /// How long it is to be good, for example `5m`
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
}

/// `connect`
#[derive(Debug, Args)]
pub struct Connect {
    /// The target; without it, the targets are listed
    pub target: Option<String>,
    /// Print the variables, token included, for `eval`, instead of running a command
    #[arg(long, requires = "target", conflicts_with = "command")]
    pub print: bool,
    /// The command and its arguments
    #[arg(last = true, requires = "target")]
    pub command: Vec<String>,
    #[command(flatten)]
    pub workload: Workload,
}

/// Where a job's own token is.
#[derive(Debug, Args)]
pub struct Workload {
    /// For jobs: exchange the workload token in this file instead of logging in
    #[arg(long, value_name = "FILE", conflicts_with = "token_env")]
    pub token_file: Option<PathBuf>,
    /// For jobs: exchange the workload token in this environment variable instead of logging in
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
}

/// `requests`
#[derive(Debug, Args)]
pub struct Requests {
    /// One request, with everything known of it: `R-7` or `7`
    pub number: Option<String>,
    /// Settled ones too
    #[arg(long)]
    pub all: bool,
}

/// `approve`, `deny`
#[derive(Debug, Args)]
pub struct Rule {
    /// The request's number: `R-7` or `7`
    pub number: String,
    /// Why; it goes on the ledger
    #[arg(long, short = 'r')]
    pub reason: String,
}

/// `sessions`
#[derive(Debug, Args)]
pub struct Sessions {
    /// Of this identity: name, or `issuer|subject`
    #[arg(long)]
    pub identity: Option<String>,
    /// At this target
    #[arg(long)]
    pub target: Option<String>,
    /// Still open at this time or opened later: `2026-11-24` or `2026-11-24T08:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Opened before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only those that are open now
    #[arg(long)]
    pub open: bool,
    /// Most rows
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// `end`
#[derive(Debug, Args)]
pub struct End {
    /// The session's id, as `sessions` lists it
    pub sid: String,
    /// Why; the session's client is told, and it goes on the ledger
    #[arg(long, short = 'r')]
    pub reason: String,
}

/// `revoke`, `restore`
#[derive(Debug, Args)]
pub struct Access {
    /// Whose: `issuer|subject`, as `whoami` and `--json sessions` have it
    pub identity: String,
    /// Why; it goes on the ledger, and clients whose sessions end are told
    #[arg(long, short = 'r')]
    pub reason: String,
}

/// `replay`
#[derive(Debug, Args)]
pub struct Replay {
    /// The session's id, as `sessions` lists it
    pub sid: String,
    /// As fast as it happened (1), twice as fast (2), …; without it, at once
    #[arg(long, value_name = "FACTOR", value_parser = pace)]
    pub pace: Option<f64>,
    /// Go on while the session is live
    #[arg(long)]
    pub follow: bool,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Walk a whole ledger offline: every entry, hash, checkpoint and signature
    Verify(Verify),
    /// Print the newest checkpoint
    Checkpoint(LedgerDir),
    /// Print one entry
    Show(Entry),
    /// Print the proof that an entry is in the log (C2SP tlog-proof)
    Proof(Entry),
}

/// Where a ledger is.
#[derive(Debug, Args)]
pub struct LedgerDir {
    /// The ledger's directory; default: that of the configuration
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `ledger verify`
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1: the ledger does not verify. Needs no gateway and no network.")]
pub struct Verify {
    /// The ledger's directory
    pub dir: PathBuf,
    /// The ledger's verifier key (`name+hash+key`), or a file that holds it
    #[arg(long, value_name = "VKEY")]
    pub key: String,
    /// A checkpoint kept from earlier: everything in it must still be there
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
}

/// `ledger show`, `ledger proof`
#[derive(Debug, Args)]
pub struct Entry {
    /// The entry's number, from 0
    pub index: u64,
    #[command(flatten)]
    pub at: LedgerDir,
}

/// `evidence`
#[derive(Debug, Args)]
pub struct Evidence {
    /// From this time on: `2026-11-01` or `2026-11-01T00:00:00Z`
    #[arg(long, value_name = "TIME")]
    pub from: String,
    /// Up to and without this time
    #[arg(long, value_name = "TIME")]
    pub to: String,
    /// Directory to write to; must not exist
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `policy`
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Say what would happen to a statement, and which policies decide
    Explain(Explain),
    /// Run the expectations kept beside the policies
    Test,
    /// Print the Cedar schema that policies are checked against
    Schema,
}

/// `policy explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The identity, as `issuer|subject`
    #[arg(long, default_value = "somebody|somebody")]
    pub identity: String,
    /// Its groups
    #[arg(long, value_delimiter = ',')]
    pub groups: Vec<String>,
    /// The target
    #[arg(long)]
    pub target: String,
    /// The statement
    #[arg(long)]
    pub statement: String,
}

fn seconds(text: &str) -> Result<u64, String> {
    vestibule_gateway::config::parse_seconds(text)
        .filter(|s| *s > 0)
        .ok_or_else(|| "write a whole number and a unit: `90s`, `15m`, `1h`".into())
}

fn pace(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err("write a number greater than 0, for example `1` or `4`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_every_command() {
        let mut page = String::new();
        render(&mut Cli::command(), "", &mut page);
        insta::assert_snapshot!("help", page);
    }

    /// `docs/reference/cli.md` is the help of every command.
    #[test]
    fn the_reference_is_up_to_date() {
        let mut page = String::from(
            "# Commands\n\n<!-- Written from the help of the commands; do not edit. `UPDATE_REFERENCE=1 cargo test -p vestibule \
             --bins` writes it anew. -->\n",
        );
        reference(&mut Cli::command(), "", &mut page);
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let have = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            have == page,
            "docs/reference/cli.md is out of date: UPDATE_REFERENCE=1 cargo test -p vestibule --bins"
        );
    }

    fn reference(command: &mut clap::Command, above: &str, page: &mut String) {
        let name = format!("{above}{}", command.get_name());
        let help = command.clone().bin_name(&name).term_width(110).render_long_help().to_string();
        let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end()));
        for sub in command.get_subcommands_mut().filter(|s| s.get_name() != "help") {
            reference(sub, &format!("{name} "), page);
        }
    }

    fn render(command: &mut clap::Command, above: &str, page: &mut String) {
        let name = format!("{above}{}", command.get_name());
        page.push_str(&format!("## {name}\n{}\n", command.clone().term_width(110).render_long_help()));
        for sub in command.get_subcommands_mut().filter(|s| s.get_name() != "help") {
            render(sub, &format!("{name} "), page);
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "vestibule",
            "vestibule lgoin",
            "vestibule approve 7",
            "vestibule token clinic --ttl 5",
            "vestibule connect clinic --print -- psql",
            "vestibule connect -- psql",
            "vestibule exchange",
            "vestibule replay s --pace 0",
            "vestibule replay s --pace nan",
            "vestibule sessions --limit 0",
            "vestibule login --device --no-browser",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
        let cli = Cli::try_parse_from("vestibule connect clinic -- psql -c select".split(' ')).unwrap();
        let super::Command::Connect(connect) = cli.command else { panic!("not connect") };
        assert_eq!(connect.command, ["psql", "-c", "select"]);
    }
}
