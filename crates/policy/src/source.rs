//! Policy files as text: which there are, and where in them each policy stands.
//!
//! Cedar's own parser reads each policy; cutting the file first means that every policy gets its own complaint, with
//! its line, and that nothing nests deeper than a stack can bear. Not here: what a policy means.

use std::path::Path;
use vestibule_core::Problem;

/// Most files in the directory.
const MOST_FILES: usize = 500;
/// Most bytes in a file.
const MOST_FILE: usize = 1 << 20;
/// Most bytes in all files.
const MOST_BYTES: usize = 8 << 20;
/// Most policies in all files.
pub(crate) const MOST_POLICIES: usize = 5_000;
/// Most bytes in one policy.
const MOST_POLICY: usize = 32 << 10;
/// Deepest nesting of brackets and conditionals in one policy.
const MOST_DEPTH: usize = 32;
/// Most operators in one policy.
const MOST_OPERATORS: usize = 400;

/// A policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As the user names it.
    pub file: String,
    /// What is in it.
    pub text: String,
}

/// One policy in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub file: &'a str,
    /// The whole file.
    whole: &'a str,
    /// Where the policy begins in it.
    start: usize,
    pub text: &'a str,
}

impl Piece<'_> {
    /// The line of a byte of the policy.
    pub fn line(&self, offset: usize) -> u32 {
        Problem::line_of(self.whole, self.start.saturating_add(offset))
    }
    /// The line of an annotation; the policy's own where it has none of that name.
    pub fn annotation_line(&self, name: &str) -> u32 {
        let mut rest = 0;
        while let Some(at) = self.text.get(rest..).and_then(|t| t.find('@')).map(|at| at + rest) {
            let after = self.text.get(at + 1..).unwrap_or_default();
            let word = after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            if word == name {
                return self.line(at);
            }
            rest = at + 1;
        }
        self.line(0)
    }
    /// A problem at a byte of the policy.
    pub fn problem(&self, offset: usize, what: impl Into<String>, mend: impl Into<String>) -> Problem {
        Problem::new(self.file, self.line(offset), what, mend)
    }
    /// A problem with an annotation.
    pub fn annotated(&self, name: &str, what: impl Into<String>, mend: impl Into<String>) -> Problem {
        Problem::new(self.file, self.annotation_line(name), what, mend)
    }
}

/// Reads the files of a directory that end in `suffix`, sorted by name.
pub(crate) fn read(dir: &Path, suffix: &str) -> Result<Vec<Source>, Vec<Problem>> {
    let shown = dir.display().to_string();
    let unreadable = |error: std::io::Error| {
        let mend = "name a directory that the gateway may read, or change its rights";
        vec![Problem::new(shown.clone(), 0, format!("the directory of policies cannot be read: {error}"), mend)]
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.ends_with(suffix) && !name.starts_with('.') {
            names.push(path);
        }
    }
    names.sort();
    if names.len() > MOST_FILES {
        let what = format!("{} policy files, more than {MOST_FILES}", names.len());
        return Err(vec![Problem::new(shown, 0, what, "put several policies into one file")]);
    }
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in names {
        match read_file(&path) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn read_file(path: &Path) -> Result<Source, Problem> {
    use std::io::Read as _;
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let most = MOST_FILE as u64 + 1;
    std::fs::File::open(path).and_then(|f| f.take(most).read_to_end(&mut bytes)).map_err(|error| {
        Problem::new(&file, 0, format!("the file cannot be read: {error}"), "change its rights, or remove it")
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { file, text }),
        Err(error) => {
            let line = Problem::line_of(&String::from_utf8_lossy(error.as_bytes()), error.utf8_error().valid_up_to());
            Err(Problem::new(file, line, "the file is not UTF-8 text", "save it as UTF-8"))
        }
    }
}

/// Checks the sizes of files together.
pub(crate) fn sizes(sources: &[Source]) -> Vec<Problem> {
    let mut problems: Vec<_> = sources
        .iter()
        .filter(|s| s.text.len() > MOST_FILE)
        .map(|s| Problem::new(&s.file, 0, format!("the file is longer than {MOST_FILE} bytes"), "split it"))
        .collect();
    let all: usize = sources.iter().map(|s| s.text.len()).sum();
    if let (true, Some(last)) = (all > MOST_BYTES, sources.last()) {
        let what = format!("all policy files together are longer than {MOST_BYTES} bytes");
        problems.push(Problem::new(&last.file, 0, what, "remove what is no longer used"));
    }
    problems
}

/// Cuts a file into its policies. What is wrong with one does not hide the others.
pub(crate) fn cut<'a>(source: &'a Source, problems: &mut Vec<Problem>) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut cutter = Cutter { text: &source.text, at: 0 };
    while let Some(found) = cutter.next() {
        let (start, end, flaw) = found;
        let text = source.text.get(start..end).unwrap_or_default();
        let piece = Piece { file: &source.file, whole: &source.text, start, text };
        match flaw {
            None => pieces.push(piece),
            Some((offset, what, mend)) => problems.push(piece.problem(offset.saturating_sub(start), what, mend)),
        }
    }
    pieces
}

type Flaw = (usize, String, &'static str);

struct Cutter<'a> {
    text: &'a str,
    at: usize,
}

/// What was counted on the way through one policy.
#[derive(Default)]
struct Measure {
    depth: usize,
    deepest: usize,
    operators: usize,
    conditionals: usize,
}

impl Cutter<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The next policy: where it begins and ends, and what is wrong with its shape.
    fn next(&mut self) -> Option<(usize, usize, Option<Flaw>)> {
        self.skip_blank();
        self.byte(self.at)?;
        let start = self.at;
        let mut measure = Measure::default();
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b'"' => {
                    if let Some(flaw) = self.skip_string() {
                        return Some((start, self.text.len(), Some(flaw)));
                    }
                    continue;
                }
                b'/' if self.byte(self.at + 1) == Some(b'/') => {
                    self.skip_line();
                    continue;
                }
                b';' => {
                    self.at += 1;
                    return Some((start, self.at, measure.flaw(start, self.at)));
                }
                b'(' | b'[' | b'{' => measure.open(),
                b')' | b']' | b'}' => measure.depth = measure.depth.saturating_sub(1),
                b'&' | b'|' | b'=' | b'<' | b'>' | b'+' | b'-' | b'*' | b'!' | b'.' => {
                    measure.operators += 1;
                    // `&&`, `||`, `==` are one.
                    self.at += usize::from(self.byte(self.at + 1) == Some(byte) && matches!(byte, b'&' | b'|' | b'='));
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    measure.conditionals += usize::from(self.skip_word() == "if");
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        let flaw = (start, "the policy does not end".to_owned(), "end each policy with `;`");
        Some((start, self.text.len(), Some(flaw)))
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b'/' if self.byte(self.at + 1) == Some(b'/') => self.skip_line(),
                b if b.is_ascii_whitespace() => self.at += 1,
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        while self.byte(self.at).is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    fn skip_word(&mut self) -> &str {
        let start = self.at;
        while self.byte(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_string(&mut self) -> Option<Flaw> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.byte(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return None;
            }
        }
        self.at = self.text.len();
        Some((start, "a text is opened and not closed".to_owned(), "close it with `\"`"))
    }
}

impl Measure {
    fn open(&mut self) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    fn flaw(&self, start: usize, end: usize) -> Option<Flaw> {
        let mend = "split it into several policies, or compare with a list";
        if end - start > MOST_POLICY {
            return Some((start, format!("the policy is longer than {MOST_POLICY} bytes"), mend));
        }
        if self.deepest.max(self.conditionals) > MOST_DEPTH {
            return Some((start, format!("the policy nests deeper than {MOST_DEPTH}"), mend));
        }
        if self.operators > MOST_OPERATORS {
            return Some((start, format!("the policy has more than {MOST_OPERATORS} operators"), mend));
        }
        None
    }
}
