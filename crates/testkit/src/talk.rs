//! A conversation, as it was or should be.

/// One thing that happens in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The client sends this.
    Client(Vec<u8>),
    /// The target sends this, once everything before has arrived.
    Target(Vec<u8>),
}

/// A conversation after both logins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Talk {
    /// For messages of failures.
    pub name: String,
    /// What happens, in order.
    pub lines: Vec<Line>,
}

impl Talk {
    /// A conversation without anything said yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), lines: Vec::new() }
    }

    /// The client sends.
    #[must_use]
    pub fn client(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.lines.push(Line::Client(bytes.into()));
        self
    }

    /// The target sends.
    #[must_use]
    pub fn target(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.lines.push(Line::Target(bytes.into()));
        self
    }

    /// Everything the client sends.
    #[must_use]
    pub fn said_by_client(&self) -> Vec<u8> {
        self.lines
            .iter()
            .filter_map(|l| if let Line::Client(b) = l { Some(b.as_slice()) } else { None })
            .flatten()
            .copied()
            .collect()
    }

    /// Everything the target sends.
    #[must_use]
    pub fn said_by_target(&self) -> Vec<u8> {
        self.lines
            .iter()
            .filter_map(|l| if let Line::Target(b) = l { Some(b.as_slice()) } else { None })
            .flatten()
            .copied()
            .collect()
    }
}
