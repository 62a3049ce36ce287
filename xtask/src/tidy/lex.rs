//! Rust text taken apart: code, comments and string literals, each line where it was.

/// A source file in three layers. In `code` and `comments` everything else is blank.
#[derive(Default)]
pub(super) struct Lexed {
    pub(super) code: String,
    pub(super) comments: String,
    pub(super) strings: Vec<Literal>,
}

/// A string literal without its quotes.
pub(super) struct Literal {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Lexed {
    fn code(&mut self, text: &str) {
        self.code.push_str(text);
        self.comments.push_str(&blank(text));
    }

    fn comment(&mut self, text: &str) {
        self.comments.push_str(text);
        self.code.push_str(&blank(text));
    }

    fn string(&mut self, quoted: &str) {
        let line = self.code.matches('\n').count() + 1;
        self.strings.push(Literal { line, text: quoted.trim_start_matches('r').trim_matches(['#', '"']).to_owned() });
        self.code.push_str(&blank(quoted));
        self.comments.push_str(&blank(quoted));
    }
}

/// Takes `text` apart.
pub(super) fn lex(text: &str) -> Lexed {
    let mut lexed = Lexed::default();
    let mut rest = text;
    let mut in_word = false; // the `r` of `bar"` begins no raw string
    while let Some(first) = rest.chars().next() {
        let (length, emit): (usize, fn(&mut Lexed, &str)) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), Lexed::comment)
        } else if rest.starts_with("/*") {
            (block_comment(rest), Lexed::comment)
        } else if let Some(length) = raw_string(rest).filter(|_| !in_word) {
            (length, Lexed::string)
        } else if first == '"' {
            (1 + quoted(rest.get(1..).unwrap_or_default(), '"'), Lexed::string)
        } else if first == '\'' {
            (char_or_lifetime(rest), Lexed::code)
        } else {
            (first.len_utf8(), Lexed::code)
        };
        let (token, after) = rest.split_at(length);
        emit(&mut lexed, token);
        // `br"` and `cr"`: the letter before `r` belongs to the literal.
        let prefix = !in_word && matches!(first, 'b' | 'c');
        in_word = !prefix && (first.is_alphanumeric() || first == '_');
        rest = after;
    }
    lexed
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { ' ' }).collect()
}

/// The length of the comment that begins here; comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the raw string that begins here, if one does.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix('r')?.trim_start_matches('#');
    let hashes = text.len() - body.len() - 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = body.strip_prefix('"')?;
    Some(inside.find(&end).map_or(text.len(), |at| hashes + 2 + at + end.len()))
}

/// The length up to and with the closing `quote`.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the character that begins here, or of the quote of a lifetime.
fn char_or_lifetime(text: &str) -> usize {
    let inside = text.get(1..).unwrap_or_default();
    let mut chars = inside.chars();
    if chars.next() == Some('\\') || chars.next() == Some('\'') { 1 + quoted(inside, '\'') } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Vec<(usize, String)> {
        lex(text).strings.into_iter().map(|literal| (literal.line, literal.text)).collect()
    }

    #[test]
    fn comments_and_strings_leave_the_code() {
        let lexed = lex("let a = \"x // y\"; // z \"q\"\nlet b = 'c'; /* d /* e */ f */ g()");
        assert_eq!(lexed.code.split_whitespace().collect::<String>(), "leta=;letb='c';g()");
        assert_eq!(lexed.comments.split_whitespace().collect::<String>(), "//z\"q\"/*d/*e*/f*/");
        assert_eq!(lexed.code.lines().count(), 2);
        assert_eq!(lexed.strings.len(), 1);
    }

    #[test]
    fn every_form_of_string_is_found() {
        let text = "a(\"one \\\" two\")\nb(r#\"raw \" three\"#, br\"four\")\nc(b\"five\", r\"six\\\")\nbar\"seven\"";
        let expected = [(1, "one \\\" two"), (2, "raw \" three"), (2, "four"), (3, "five"), (3, "six\\"), (4, "seven")];
        assert_eq!(strings(text), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn quotes_of_characters_and_lifetimes_open_no_string() {
        for text in ["f('\"', '\\'', \"s\")", "fn f<'a>(x: &'a str) { g(\"s\") }", "g(b'\\\\', '\\u{22}', \"s\")"] {
            assert_eq!(strings(text), [(1, String::from("s"))], "{text}");
        }
    }

    #[test]
    fn an_unfinished_text_ends() {
        for text in ["\"open", "/* open", "r#\"open\"", "'", "r"] {
            assert_eq!(lex(text).code.len(), text.len(), "{text}");
        }
    }
}
