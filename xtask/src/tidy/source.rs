//! A Rust file taken apart just far enough for the rules: what is code, what is text, what is
//! comment, which lines are tests, which functions there are and how long they are.
//!
//! This is a lexer and a brace counter, not a parser. It relies on the code being compiled and
//! formatted elsewhere in the same CI run, and treats what it does not know as code.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a byte of the file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Code,
    /// Inside a string or character literal.
    Text,
    Comment,
}

/// One function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// Lines with code, from the `fn` to the closing brace: blank and comment lines are free.
    pub(super) code_line_count: usize,
    pub(super) is_test: bool,
}

/// One Rust file.
pub(super) struct Source {
    /// From the workspace root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The file with comments and the inside of literals blanked out; the offsets are the file's.
    pub(super) code: String,
    /// The file with all but comments blanked out.
    pub(super) comments: String,
    classes: Vec<Class>,
    /// Byte ranges of test items.
    tests: Vec<Range<usize>>,
    /// The whole file is test code.
    pub(super) is_test_file: bool,
    line_starts: Vec<usize>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let classes = classify(text);
        let blank = |keep: Class| -> String {
            text.char_indices()
                .flat_map(|(at, c)| {
                    let shown = if c == '\n' || classes[at] == keep { c } else { ' ' };
                    // A blanked character of several bytes becomes as many blanks.
                    let count = if shown == c { 1 } else { c.len_utf8() };
                    std::iter::repeat_n(shown, count)
                })
                .collect()
        };
        let code = blank(Class::Code);
        let comments = blank(Class::Comment);
        assert_eq!(code.len(), text.len(), "{path}: offsets must stay");
        let (tests, is_whole) = test_regions(&code, text);
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(at, _)| at + 1))
            .collect();
        let is_test_file = is_whole || is_test_path(path);
        let (path, text) = (path.to_owned(), text.to_owned());
        Self { path, text, code, comments, classes, tests, is_test_file, line_starts }
    }

    /// The crate's folder name, when the file lies in `crates/`.
    pub(super) fn krate(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset)
    }

    pub(super) fn is_test(&self, offset: usize) -> bool {
        self.is_test_file || self.tests.iter().any(|region| region.contains(&offset))
    }

    /// How many lines are not in test items.
    pub(super) fn production_line_count(&self) -> usize {
        if self.is_test_file {
            return 0;
        }
        (0..self.text.lines().count()).filter(|&i| !self.is_test(self.line_starts[i])).count()
    }

    /// Whether a string or character literal touches the line (from 1).
    pub(super) fn has_literal(&self, line: usize) -> bool {
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        self.classes[start..end].contains(&Class::Text)
    }

    /// Every function with a body, in the order of the file.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in words(&self.code, "fn") {
            let name = identifier(self.code[at + 2..].trim_start());
            let Some(end) = item_end(&self.code, at) else { continue };
            if name.is_empty() || self.code.as_bytes()[end - 1] != b'}' {
                continue;
            }
            let (first, last) = (self.line(at), self.line(end - 1));
            let code_line_count = (first..=last).filter(|&line| self.has_code(line)).count();
            let is_test = self.is_test(at);
            functions.push(Function { name, line: first, code_line_count, is_test });
        }
        functions
    }

    fn has_code(&self, line: usize) -> bool {
        let start = self.line_starts[line - 1];
        let end = self.line_starts.get(line).copied().unwrap_or(self.text.len());
        self.text[start..end]
            .char_indices()
            .any(|(at, c)| !c.is_whitespace() && self.classes[start + at] != Class::Comment)
    }
}

/// Takes all Rust files apart. Needs all of them, because a file is a test when its parent says so:
/// `#[cfg(test)] mod name;`.
pub(super) fn read_all(texts: &BTreeMap<String, String>) -> Vec<Source> {
    let mut sources: Vec<Source> = texts
        .iter()
        .filter(|(path, _)| is_kind(path, "rs"))
        .map(|(path, text)| Source::new(path, text))
        .collect();
    let test_modules: BTreeSet<String> = sources.iter().flat_map(test_module_paths).collect();
    for source in &mut sources {
        source.is_test_file |= test_modules.iter().any(|module| {
            source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/"))
        });
    }
    sources
}

/// Whether the file's name ends in `.extension`.
pub(super) fn is_kind(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end == extension)
}

/// The paths, without `.rs`, of modules that a file declares for tests only.
fn test_module_paths(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let children = match stem {
        "mod" | "lib" | "main" => folder.to_owned(),
        _ => format!("{folder}/{stem}"),
    };
    let mut paths = Vec::new();
    for region in &source.tests {
        let item = &source.code[region.clone()];
        if !item.ends_with(';') {
            continue;
        }
        let Some(at) = words(item, "mod").next() else { continue };
        let named = &source.text[region.clone()];
        let explicit = named.split_once("path = \"").and_then(|(_, rest)| rest.split_once('"'));
        paths.push(match explicit {
            Some((path, _)) => format!("{folder}/{}", path.trim_end_matches(".rs")),
            None => format!("{children}/{}", identifier(item[at + 3..].trim_start())),
        });
    }
    paths
}

/// Tests by where they stand.
fn is_test_path(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples"))
        || file == "tests.rs"
        || file.ends_with("_tests.rs")
        || file.ends_with("_test.rs")
}

/// The class of every byte.
fn classify(text: &str) -> Vec<Class> {
    let bytes = text.as_bytes();
    let mut classes = vec![Class::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let (class, len) = if rest.starts_with("//") {
            (Class::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Class::Comment, block_comment_len(rest))
        } else if let Some(len) = literal_len(rest) {
            (Class::Text, len)
        } else if bytes[at].is_ascii_alphabetic() || bytes[at] == b'_' {
            // A whole word at once, so that the r of `for` is not taken for the start of r"".
            (Class::Code, identifier(rest).len())
        } else {
            (Class::Code, rest.chars().next().map_or(1, char::len_utf8))
        };
        classes[at..at + len].fill(class);
        at += len;
    }
    classes
}

fn block_comment_len(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The length of the string or character literal that `rest` starts with.
fn literal_len(rest: &str) -> Option<usize> {
    if let Some(inside) = rest.strip_prefix('\'') {
        return char_len(inside).map(|len| len + 1);
    }
    let prefix = ["", "b", "c", "r", "br", "cr"].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix);
        let after =
            after.map(|a| if prefix.ends_with('r') { a.trim_start_matches('#') } else { a });
        after.is_some_and(|after| after.starts_with('"'))
    });
    let Some(prefix) = prefix else {
        let inside = rest.strip_prefix("b'")?;
        return char_len(inside).map(|len| len + 2);
    };
    if prefix.ends_with('r') {
        let hashes = rest[prefix.len()..].bytes().take_while(|&b| b == b'#').count();
        let open = prefix.len() + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(rest[open..].find(&close).map_or(rest.len(), |at| open + at + close.len()));
    }
    let open = prefix.len() + 1;
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(open) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The length of a character literal after its opening quote, or `None` for a lifetime.
fn char_len(inside: &str) -> Option<usize> {
    let mut chars = inside.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        // The escaped character itself may be a quote.
        chars.next()?;
        return chars.find(|&(_, c)| c == '\'').map(|(at, _)| at + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'' && first != '\'').then_some(at + 1)
}

/// The ranges of items marked as tests, and whether the whole file is marked.
fn test_regions(code: &str, text: &str) -> (Vec<Range<usize>>, bool) {
    let mut regions = Vec::new();
    let mut is_whole = false;
    for (at, _) in code.match_indices("#[").chain(code.match_indices("#![")) {
        let is_inner = code[at..].starts_with("#![");
        let open = at + if is_inner { 2 } else { 1 };
        let Some(close) = matching(code, open) else { continue };
        // The feature's name is a literal, so it is read from the text.
        if !marks_test(&code[open + 1..close], &text[open + 1..close]) {
            continue;
        }
        if is_inner {
            is_whole = true;
        } else if let Some(end) = item_end(code, close + 1) {
            regions.push(at..end);
        }
    }
    (regions, is_whole)
}

/// Whether an attribute says that its item exists for tests only.
fn marks_test(code: &str, text: &str) -> bool {
    let code = code.trim();
    if code == "test" || code.ends_with("::test") || code.contains("::test(") {
        return true;
    }
    code.starts_with("cfg(")
        && !code.contains("not(")
        && (words(code, "test").next().is_some() || text.contains("\"testing\""))
}

/// Where the item that starts at `from` ends: behind its closing brace or semicolon.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => return matching(code, at).map(|close| close + 1),
            b';' => return Some(at + 1),
            b'(' | b'[' => at = matching(code, at)? + 1,
            // The end of what the item stands in: it was a field or a variant.
            b'}' => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// The offset of the bracket that closes the one at `open`.
fn matching(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The offsets where `word` stands as a whole word.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(is_word)
    })
}

/// The identifier that `code` starts with; empty when it starts with something else.
pub(super) fn identifier(code: &str) -> String {
    code.chars().take_while(|&c| is_word(c)).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("crates/x/src/a.rs", text).code
    }

    #[test]
    fn literals_and_comments_are_not_code() {
        let squeezed = |text: &str| code(text).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed("a /* b /* c */ d */ e // f"), "a e");
        assert_eq!(squeezed(r#"a "b \" // c" d"#), "a d");
        assert_eq!(squeezed(r##"a r#"b " c"# d br"e\" f"##), "a d f");
        assert_eq!(squeezed(r"a 'b' '\'' '\u{1}' b'c' b'\'' d"), "a d");
        assert_eq!(squeezed("a<'b> &'c d 'e: loop"), "a<'b> &'c d 'e: loop");
        assert_eq!(squeezed("r#type for\"x\" 'ä' '→' e"), "r#type for e");
        assert_eq!(squeezed("a \"b\nc\" d"), "a d");
    }

    #[test]
    fn offsets_and_lines_survive_wide_characters() {
        let source = Source::new("a.rs", "// →→\nfn a() {}\n");
        let at = source.code.find("fn").unwrap();
        assert_eq!((&source.text[at..at + 2], source.line(at)), ("fn", 2));
    }

    #[test]
    fn test_items_are_found_and_nothing_else() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n\
                    #[cfg(not(test))]\nfn d() {}\n#[test]\nfn e() { f(); }\n\
                    #[cfg(any(test, feature = \"testing\"))]\nfn g() {}\n\
                    #[cfg(feature = \"testing\")]\nfn h() {}\n#[tokio::test]\nasync fn i() {}\n\
                    #[cfg(feature = \"x\")]\nfn j() {}\n";
        let source = Source::new("crates/x/src/a.rs", text);
        let tests: Vec<(String, bool)> =
            source.functions().into_iter().map(|f| (f.name, f.is_test)).collect();
        let expected = [
            ("a", false),
            ("b", true),
            ("c", false),
            ("d", false),
            ("e", true),
            ("g", true),
            ("h", true),
            ("i", true),
            ("j", false),
        ];
        assert_eq!(tests, expected.map(|(name, is_test)| (name.to_owned(), is_test)));
        assert_eq!(source.production_line_count(), 6);
    }

    #[test]
    fn modules_declared_for_tests_are_test_files() {
        let texts: BTreeMap<String, String> = [
            ("crates/x/src/lib.rs", "#[cfg(test)]\nmod golden;\nmod real;\n"),
            ("crates/x/src/golden.rs", ""),
            ("crates/x/src/golden/verb.rs", ""),
            ("crates/x/src/real.rs", "#[cfg(test)]\n#[path = \"real_cases.rs\"]\nmod tests;\n"),
            ("crates/x/src/real_cases.rs", ""),
            ("crates/x/src/whole.rs", "//! a\n#![cfg(test)]\n"),
            ("crates/x/tests/main.rs", ""),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into();
        let sources = read_all(&texts);
        let production: Vec<&str> =
            sources.iter().filter(|s| !s.is_test_file).map(|s| s.path.as_str()).collect();
        assert_eq!(production, ["crates/x/src/lib.rs", "crates/x/src/real.rs"]);
    }

    #[test]
    fn functions_are_measured_in_lines_of_code() {
        let text = "trait T { fn none(&self); }\nimpl T {\n    fn two(&self) -> [u8; 3] {\n\
                    \n        // free\n        \"text\n// counts\";\n    }\n}\nfn one() {}\n";
        let lengths: Vec<(String, usize)> = Source::new("a.rs", text)
            .functions()
            .into_iter()
            .map(|f| (f.name, f.code_line_count))
            .collect();
        assert_eq!(lengths, [("two".to_owned(), 4), ("one".to_owned(), 1)]);
    }
}
