//! The sections of `vestibule.toml` and their keys.
//!
//! Not here: how they are read (`read`), and what they mean together (`resolve`).

use super::keys::Presence::{Default, Optional, Required};
use super::keys::{Form, Key, Kind, Section};

const fn key(name: &'static str, kind: Kind, presence: super::keys::Presence, help: &'static str) -> Key {
    Key { name, kind, presence, help }
}

const DAY: u64 = 86_400;

/// `tls` of a listener and of the API.
pub static SERVER_TLS: Section = Section {
    name: "tls",
    form: Form::Inline,
    help: "certificate and key that clients see",
    keys: &[
        key("cert", Kind::Path, Required, "Certificate chain in PEM, the server's own first."),
        key("key", Kind::Path, Required, "Its private key in PEM, readable by the gateway's account only."),
    ],
};

/// `[gateway]`
pub static GATEWAY: Section = Section {
    name: "gateway",
    form: Form::Once { required: true },
    help: "what this gateway is called and where it keeps its data",
    keys: &[
        key(
            "name",
            Kind::Text,
            Required,
            "Origin of the ledger and issuer of tokens, as a schema-less URL: `gateway.clinic.example/vestibule`. Never change it: a log keeps its name.",
        ),
        key(
            "data",
            Kind::Path,
            Default("data"),
            "Directory of state, ledger, recordings and keys, made by `vestibule init`.",
        ),
        key(
            "drain",
            Kind::Duration(1, 3_600),
            Default("10s"),
            "At shutdown, sessions may end by themselves for so long before they are ended.",
        ),
    ],
};

/// `[api]`
pub static API: Section = Section {
    name: "api",
    form: Form::Once { required: false },
    help: "the HTTP API for people and jobs; always over TLS",
    keys: &[
        key("listen", Kind::Address, Default("127.0.0.1:8443"), "Address to listen on."),
        key(
            "url",
            Kind::Text,
            Optional,
            "How clients reach the API: `https://gateway.clinic.example:8443`. Default: `https://` and `listen`.",
        ),
        key("tls", Kind::Table(&SERVER_TLS), Optional, "Default: the certificate that `vestibule init` made."),
        key(
            "admins",
            Kind::Texts,
            Optional,
            "Groups that may see and end every session and explain policies for others. Default: nobody.",
        ),
        key(
            "auditors",
            Kind::Texts,
            Optional,
            "Groups that may list sessions, replay recordings and export evidence. Default: nobody.",
        ),
        key(
            "operators",
            Kind::Texts,
            Optional,
            "Groups that may list and end sessions, and read no recording. Default: nobody.",
        ),
        key(
            "metrics",
            Kind::Choice(&["open", "operators"]),
            Default("operators"),
            "Who may read `/metrics`: anybody who reaches the API, or members of `operators` and `admins`.",
        ),
    ],
};

/// `[[listener]]`
pub static LISTENER: Section = Section {
    name: "listener",
    form: Form::Many { min: 1 },
    help: "an address where native clients connect",
    keys: &[
        key("name", Kind::Name, Required, "Its name in logs and records."),
        key("protocol", Kind::Name, Required, "What is spoken there: the id of a protocol."),
        key("listen", Kind::Address, Required, "Address to listen on."),
        key(
            "address",
            Kind::Address,
            Optional,
            "How clients reach it, shown by `vestibule connect`. Default: `listen`.",
        ),
        key("tls", Kind::Table(&SERVER_TLS), Optional, "Default: the certificate that `vestibule init` made."),
        key(
            "allow_cleartext",
            Kind::Boolean,
            Default("false"),
            "Lets clients in without TLS. Only on a loopback address.",
        ),
        key(
            "max_message_bytes",
            Kind::Integer(16 << 10, 1 << 30),
            Default("67108864"),
            "Longest message of a client or target, in bytes. A longer one ends the session.",
        ),
        key("max_connections", Kind::Integer(1, 100_000), Default("1000"), "Most connections at a time."),
        key("login_timeout", Kind::Duration(1, 300), Default("15s"), "Time a client has to log in."),
    ],
};

/// `credential` of a target.
pub static CREDENTIAL: Section = Section {
    name: "credential",
    form: Form::Inline,
    help: "the gateway's own secret at the target; clients never see it",
    keys: &[
        key(
            "password_file",
            Kind::Path,
            Optional,
            "File of mode 0600 whose first line is the password. Read at each login.",
        ),
        key("password_env", Kind::Name, Optional, "Environment variable that holds the password."),
        key("client_cert", Kind::Path, Optional, "Client certificate in PEM, for targets that ask for one in TLS."),
        key("client_key", Kind::Path, Optional, "Its private key in PEM, of mode 0600."),
    ],
};

/// `tls` of a target.
pub static TARGET_TLS: Section = Section {
    name: "tls",
    form: Form::Inline,
    help: "how the target proves itself",
    keys: &[
        key(
            "mode",
            Kind::Choice(&["verify-full", "verify-ca", "disable"]),
            Default("verify-full"),
            "`verify-full`: chain and host name; `verify-ca`: chain only; `disable`: in the clear, for loopback addresses or targets without PHI.",
        ),
        key(
            "ca_file",
            Kind::Path,
            Optional,
            "Certificates in PEM that the target's chain must end in. Required unless `disable`.",
        ),
        key("server_name", Kind::Text, Optional, "Name in the target's certificate. Default: the host of `address`."),
        key(
            "direct",
            Kind::Boolean,
            Default("false"),
            "TLS from the first byte, without asking for it in the protocol first.",
        ),
    ],
};

/// `[[target]]`
pub static TARGET: Section = Section {
    name: "target",
    form: Form::Many { min: 1 },
    help: "a system that people and jobs reach through the gateway",
    keys: &[
        key("name", Kind::Name, Required, "What clients call it; policies and the data map use this name too."),
        key("protocol", Kind::Name, Required, "What it speaks: the id of a protocol."),
        key("address", Kind::Address, Required, "Where it is."),
        key("user", Kind::Text, Required, "The gateway's account there."),
        key(
            "credential",
            Kind::Table(&CREDENTIAL),
            Optional,
            "Default: none; the target trusts the gateway's address or certificate.",
        ),
        key("tls", Kind::Table(&TARGET_TLS), Required, "How the target proves itself."),
        key(
            "phi",
            Kind::Boolean,
            Default("true"),
            "Whether it holds PHI: what is not understood is then refused, and what is not known to be clean is masked.",
        ),
        key(
            "risk",
            Kind::Choice(&["normal", "high"]),
            Default("normal"),
            "`high`: what was disclosed is durable in the ledger before the last byte is released.",
        ),
        key("durable_disclosure", Kind::Boolean, Optional, "The same by itself. Default: true if `risk` is `high`."),
        key("idle_timeout", Kind::Duration(10, DAY), Default("15m"), "A session without traffic for so long is ended."),
        key(
            "max_session",
            Kind::Duration(60, 7 * DAY),
            Default("8h"),
            "No session is longer, whatever its proof says.",
        ),
        key("labels", Kind::Map, Optional, "Facts that policies can ask for: `{ env = \"production\" }`."),
        key("settings", Kind::Map, Optional, "Keys of the protocol itself; see its reference."),
    ],
};

/// `[policy]`
pub static POLICY: Section = Section {
    name: "policy",
    form: Form::Once { required: false },
    help: "the rules",
    keys: &[
        key("dir", Kind::Path, Default("policies"), "Directory of the Cedar files and their tests."),
        key(
            "data_map",
            Kind::Path,
            Default("data-map.toml"),
            "Which column is which class of PHI, and how each class is masked.",
        ),
    ],
};

/// `[ledger]`
pub static LEDGER: Section = Section {
    name: "ledger",
    form: Form::Once { required: false },
    help: "the tamper-evident log",
    keys: &[
        key(
            "durability",
            Kind::Choice(&["durable", "written"]),
            Default("durable"),
            "`durable`: an entry counts once it is on stable storage; `written`: once the kernel has it. Writes, holds and denials are always durable.",
        ),
        key(
            "checkpoint_seconds",
            Kind::Integer(1, 60),
            Default("1"),
            "A checkpoint is signed at least this often while entries come.",
        ),
    ],
};

/// `[recording]`
pub static RECORDING: Section = Section {
    name: "recording",
    form: Form::Once { required: false },
    help: "what is kept of sessions",
    keys: &[
        key(
            "on",
            Kind::Boolean,
            Default("true"),
            "Whether sessions are recorded. May be off only if no target holds PHI.",
        ),
        key(
            "chunk_bytes",
            Kind::Integer(4 << 10, 16 << 20),
            Default("262144"),
            "A chunk is closed, and its digest put on the ledger, at this size.",
        ),
        key(
            "chunk_seconds",
            Kind::Integer(1, 300),
            Default("5"),
            "And at this age, so that a live session can be replayed.",
        ),
    ],
};

/// `[approval]`
pub static APPROVAL: Section = Section {
    name: "approval",
    form: Form::Once { required: false },
    help: "operations that wait for a human",
    keys: &[key(
        "default_expiry",
        Kind::Duration(10, DAY),
        Default("15m"),
        "How long a request waits if the policy does not say.",
    )],
};

/// `[tokens]`
pub static TOKENS: Section = Section {
    name: "tokens",
    form: Form::Once { required: false },
    help: "the short-lived tokens that the gateway issues",
    keys: &[
        key(
            "ttl",
            Kind::Duration(60, DAY),
            Default("15m"),
            "How long a token is good if the client does not ask for less or more.",
        ),
        key("max_ttl", Kind::Duration(60, DAY), Default("1h"), "The longest a client may ask for."),
    ],
};

/// `[log]`
pub static LOG: Section = Section {
    name: "log",
    form: Form::Once { required: false },
    help: "the operator's log on standard error; no secrets and no PHI",
    keys: &[
        key("format", Kind::Choice(&["json", "text"]), Default("json"), "JSON lines for machines, or text."),
        key(
            "level",
            Kind::Choice(&["error", "warn", "info", "debug"]),
            Default("info"),
            "The least grave that is written.",
        ),
    ],
};

/// Every section, in the order of the reference.
pub static SECTIONS: &[&Section] = &[
    &GATEWAY,
    &API,
    &super::issuers::ISSUER,
    &LISTENER,
    &TARGET,
    &POLICY,
    &LEDGER,
    &RECORDING,
    &APPROVAL,
    &TOKENS,
    &LOG,
];
