//! Rules on source files.

use super::Finding;
use super::lex::Lexed;

const LINES_MAX: usize = 500;
const MACROS: [&str; 3] = ["todo!(", "unimplemented!(", "dbg!("];
const NOTES: [&str; 2] = ["TODO", "FIXME"];
const UNORDERED: [&str; 2] = ["HashMap", "HashSet"];
const TENANT_COLUMN: &str = "tenant_id";
const SQL_WORDS: [&str; 9] = ["SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "WHERE", "JOIN", "CREATE", "ALTER"];

/// What is wrong with the Rust file `path`.
pub(super) fn check(path: &str, text: &str, lexed: &Lexed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: usize, rule: &str, remedy| findings.push(Finding::new(path, line, rule, remedy));
    if text.lines().count() > LINES_MAX {
        find(LINES_MAX + 1, "more than 500 lines", "split the file by idea");
    }
    if path.ends_with("/mod.rs") {
        find(1, "a mod.rs", "name it after its module: foo.rs beside foo/");
    }
    for (line, code) in numbered(&lexed.code) {
        for name in MACROS.iter().filter(|name| code.contains(**name)) {
            find(line, &format!("{name}…) is unfinished work"), "finish it or take it out");
        }
        if code.contains("#[ignore") {
            find(line, "an ignored test", "mend it or delete it");
        }
        for name in UNORDERED.iter().filter(|name| path.starts_with("domain/") && has_word(code, name)) {
            find(line, &format!("{name} in domain/ has no order"), "use BTreeMap or BTreeSet");
        }
    }
    let tests_from = tests_from(path, lexed);
    for literal in lexed.strings.iter().filter(|literal| literal.line < tests_from) {
        // In quotes it is a value: a look into the catalogue.
        let names = literal.text.replace("'tenant_id'", "");
        if names.contains(TENANT_COLUMN) && SQL_WORDS.iter().any(|word| has_word(&literal.text, word)) {
            find(literal.line, "a query names the tenant", "let TenantTx say it; only migrations know the column");
        }
    }
    findings.extend(check_notes(path, &lexed.comments));
    findings
}

/// Notes of unfinished work in `text`.
pub(super) fn check_notes(path: &str, text: &str) -> Vec<Finding> {
    let noted = |line: &str| NOTES.iter().any(|note| has_word(line, note));
    let lines = numbered(text).filter(|(_, line)| noted(line));
    lines.map(|(line, _)| Finding::new(path, line, "a note of unfinished work", "do it, or open an issue")).collect()
}

/// The names of all functions: what stands between `fn` and `(`.
pub(super) fn functions(lexed: &Lexed) -> Vec<String> {
    let after_fn = lexed.code.split("fn ").skip(1);
    after_fn
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_name(name))
        .collect()
}

/// The first line that is test code, in storage, whose tests look at what the migrations made.
fn tests_from(path: &str, lexed: &Lexed) -> usize {
    if !path.starts_with("storage/") {
        return usize::MAX;
    }
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return 0;
    }
    numbered(&lexed.code).find(|(_, line)| line.contains("#[cfg(test)]")).map_or(usize::MAX, |(line, _)| line)
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::super::lex::lex;
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, String)> {
        check(path, text, &lex(text)).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn a_clean_file_has_no_finding() {
        assert_eq!(rules("domain/src/a.rs", "//! No HashMap here.\nfn a() { b(\"todo!()\") }\n"), []);
    }

    #[test]
    fn a_long_file_and_a_mod_file_are_found() {
        assert_eq!(rules("src/a.rs", &"\n".repeat(500)), []);
        assert_eq!(rules("src/a.rs", &"\n".repeat(501)), [(501, String::from("more than 500 lines"))]);
        assert_eq!(rules("src/a/mod.rs", ""), [(1, String::from("a mod.rs"))]);
    }

    #[test]
    fn unfinished_work_is_found() {
        let text = format!("// TO{}: later\nfn a() {{ todo!() }}\n#[ignore = \"slow\"]\nfn b() {{ dbg!(1); }}", "DO");
        let lines: Vec<usize> = rules("src/a.rs", &text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 3, 4, 1]);
    }

    #[test]
    fn unordered_maps_are_found_in_the_domain_only() {
        let text = "use std::collections::HashMap;";
        assert_eq!(rules("domain/src/a.rs", text).len(), 1);
        assert_eq!(rules("actors/src/a.rs", text), []);
    }

    #[test]
    fn a_query_does_not_name_the_tenant() {
        let column = ["tenant", "id"].join("_");
        let query = format!("\nconst A: &str = \"SELECT a\n FROM b WHERE {column} = $1\";");
        assert_eq!(rules("http/src/a.rs", &query), [(2, String::from("a query names the tenant"))]);
        assert_eq!(rules("storage/tests/a.rs", &query), []);
        assert_eq!(rules("storage/src/a/tests.rs", &query), []);
        assert_eq!(rules("storage/src/a.rs", &format!("#[cfg(test)]\nmod tests {{{query}}}")), []);
        assert_eq!(rules("storage/src/a.rs", &format!("a(\"{column}\")")), []);
        assert_eq!(rules("storage/src/a.rs", &format!("\"SELECT a FROM b WHERE attname = '{column}'\"")), []);
    }

    #[test]
    fn functions_are_listed_by_name() {
        let text = "/// fn not_me()\nfn one() {}\npub(crate) async fn two(a: u8) {}\nfn three<T>(a: T) {}";
        assert_eq!(functions(&lex(text)), ["one", "two"]);
    }
}
